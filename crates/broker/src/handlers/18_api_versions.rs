//! ApiVersions (18), versions 0-5: what this node serves on this listener, and the cluster's features.
//!
//! v3 adds the client's software name and version, supported and finalized features; below v4 a supported feature whose
//! range starts at 0 is left out, since older Java clients refuse it; v5 (KIP-1242) lets a client say whom it means to talk
//! to, by cluster and node together, and answers REBOOTSTRAP_REQUIRED when that is someone else. A version that is not known is answered in version 0
//! with UNSUPPORTED_VERSION and the version range of this API (KIP-511).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use metadata::Feature;
use net::Handled;
use protocol::messages::api_versions_request::ApiVersionsRequest;
use protocol::messages::api_versions_response::{
    ApiVersion, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};
use protocol::{ApiKey, ErrorCode, Listener, OfferedVersions};

use super::served;
use crate::peers::Channel;
use crate::request::RequestContext;

/// Kafka announces versions of Produce that it no longer serves: old librdkafka derives from them that compression works
/// (KAFKA-18659).
const PRODUCE_MIN_VERSION_TOLD: i16 = 0;

crate::handler!(ApiVersions, ApiVersionsRequest<'_>, handle);

async fn handle(
    context: &RequestContext,
    request: ApiVersionsRequest<'_>,
) -> ApiVersionsResponse<'static> {
    if let Some(error) = refused(context, &request) {
        return ApiVersionsResponse { error_code: error.code(), ..Default::default() };
    }
    let image = context.node.image();
    // The quorum keeps this level; 0 is not told, as for all features.
    let kraft_version = context.node.quorum.status().kraft_version;
    let kraft_version = (kraft_version > 0).then_some((Feature::KRAFT_VERSION, kraft_version));
    let finalized = image.features.iter().chain(kraft_version);
    ApiVersionsResponse {
        api_keys: api_keys(context),
        supported_features: supported_features(context),
        finalized_features_epoch: match context.side {
            Listener::Broker => image.provenance.offset.get(),
            // Kafka's controllers tell since when the features are what they are.
            Listener::Controller => context.node.features_since.load(Ordering::Relaxed),
        },
        finalized_features: finalized
            .map(|(name, level)| FinalizedFeatureKey {
                name: name.to_owned().into(),
                max_version_level: level,
                min_version_level: level,
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    }
}

fn refused(context: &RequestContext, request: &ApiVersionsRequest<'_>) -> Option<ErrorCode> {
    let named = |text: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
        let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        text.chars().all(inner) && ends(text.chars().next()) && ends(text.chars().last())
    };
    if context.version >= 3
        && !(named(&request.client_software_name) && named(&request.client_software_version))
    {
        return Some(ErrorCode::InvalidRequest);
    }
    if request.cluster_id.is_some() != (request.node_id >= 0) {
        return Some(ErrorCode::InvalidRequest);
    }
    let node = &context.node;
    let other_cluster = request.cluster_id.as_deref().is_some_and(|id| id != node.cluster_id);
    let other_node = request.node_id >= 0 && request.node_id != node.config().node_id.get();
    (other_cluster || other_node).then_some(ErrorCode::RebootstrapRequired)
}

fn api_keys(context: &RequestContext) -> Vec<ApiVersion> {
    let unstable = context.node.config().node.unstable_api_versions_enable;
    let controller = controller_versions(context);
    served(context.side)
        .filter_map(|handler| {
            let versions = handler.versions(unstable);
            let (mut min_version, mut max_version) = (*versions.start(), *versions.end());
            match &controller {
                // What is passed on must be understood there, too.
                Some(controller) if handler.api.forwarded_to_controller() => {
                    let (low, high) = controller.range(handler.api)?;
                    (min_version, max_version) = (min_version.max(low), max_version.min(high));
                }
                _ => {}
            }
            if handler.api == ApiKey::Produce {
                min_version = PRODUCE_MIN_VERSION_TOLD;
            }
            let told = ApiVersion {
                api_key: handler.api.code(),
                min_version,
                max_version,
                ..Default::default()
            };
            (min_version <= max_version).then_some(told)
        })
        .collect()
}

/// What the active controller serves, as far as this broker has asked it something for a client already.
fn controller_versions(context: &RequestContext) -> Option<Arc<OfferedVersions>> {
    if context.side == Listener::Controller {
        return None;
    }
    let address = context.node.controller.address()?;
    context.node.peers.known_versions(&address, Channel::Forward)
}

fn supported_features(context: &RequestContext) -> Vec<SupportedFeatureKey<'static>> {
    let features = context.node.supported_features.iter();
    features
        .filter(|(_, range)| context.version >= 4 || range.min > 0)
        .map(|(name, range)| SupportedFeatureKey {
            name: name.to_string().into(),
            min_version: range.min,
            max_version: range.max,
            ..Default::default()
        })
        .collect()
}

/// The answer to a version that is not served.
pub fn unsupported_version(context: &RequestContext) -> Handled {
    let own = |key: &ApiVersion| key.api_key == ApiKey::ApiVersions.code();
    let response = ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.code(),
        api_keys: api_keys(context).into_iter().filter(own).collect(),
        ..Default::default()
    };
    match context.encode_version(&response, 0, &mut []) {
        Some(response) => Handled::Now(Some(response)),
        None => Handled::Close,
    }
}
