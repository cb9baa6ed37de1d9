//! ListTransactions (66), versions 0-2: the transactions that this broker coordinates.
//!
//! v1 adds a filter by duration, v2 by a pattern of ids. States that do not exist are told as unknown, and let nothing through.

use protocol::ErrorCode;
use protocol::messages::list_transactions_request::ListTransactionsRequest;
use protocol::messages::list_transactions_response::ListTransactionsResponse;
use transaction::{Filters, Query, Reply};

use crate::authorizer::{Operation, Resource};
use crate::request::RequestContext;

crate::handler!(ListTransactions, ListTransactionsRequest<'_>, handle);

async fn handle(
    context: &RequestContext,
    request: ListTransactionsRequest<'_>,
) -> ListTransactionsResponse<'static> {
    let failed = |error: ErrorCode| ListTransactionsResponse {
        error_code: error.code(),
        ..Default::default()
    };
    let filters = Filters::new(
        context.node.clock.wall(),
        request.producer_id_filters.iter().copied(),
        &request.state_filters,
        request.duration_filter,
        request.transactional_id_pattern.as_deref(),
    );
    let (filters, unknown) = match filters {
        Ok(filters) => filters,
        Err(error) => return failed(error),
    };
    let replies = match context.node.transactions.query_all(&Query::List(filters)).await {
        Ok(replies) => replies,
        Err(error) => return failed(error),
    };
    let listed = replies.into_iter().flat_map(|reply| match reply {
        Reply::List(listed) => listed,
        _ => Vec::new(),
    });
    let allowed = listed.filter(|listed| {
        context.allows(Operation::Describe, Resource::TransactionalId(&listed.transactional_id))
    });
    ListTransactionsResponse {
        unknown_state_filters: unknown.into_iter().map(Into::into).collect(),
        transaction_states: allowed.collect(),
        ..Default::default()
    }
}
