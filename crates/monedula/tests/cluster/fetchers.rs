//! `num.replica.fetchers` changes while replicas follow.

use protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use protocol::messages::incremental_alter_configs_response::IncrementalAlterConfigsResponse;

use crate::common::cluster::{Cluster, until};
use crate::common::decoded;
use crate::replication::{SETTINGS, create, produce, until_equal, until_isr};

/// Many enough that both fetchers have some, wherever their ids lead them.
const TOPICS: usize = 24;
const BROKER: i8 = 4;
const SET: i8 = 0;

fn set_fetchers(cluster: &Cluster, count: u32) {
    let config = AlterableConfig {
        name: "num.replica.fetchers".into(),
        config_operation: SET,
        value: Some(count.to_string().into()),
        ..Default::default()
    };
    let resource = AlterConfigsResource {
        resource_type: BROKER,
        resource_name: "".into(),
        configs: vec![config],
        ..Default::default()
    };
    let request =
        IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
    let body = cluster.node(101).ask(&request, 1);
    let response: IncrementalAlterConfigsResponse<'_> = decoded(&body, 1);
    assert_eq!(response.responses[0].error_code, 0, "{response:?}");
}

fn said(cluster: &Cluster, what: &str) -> usize {
    let said = |id| cluster.node(id).log().matches(what).count();
    cluster.brokers().into_iter().map(said).sum()
}

#[test]
fn fetchers_become_more_and_fewer_while_replicas_follow() {
    let cluster = Cluster::separate(1, 2, &SETTINGS);
    let topics: Vec<String> = (0..TOPICS).map(|n| format!("t{n}")).collect();
    for topic in &topics {
        create(&cluster, topic, 2, 2);
    }
    let all_take = |values: std::ops::Range<i64>| {
        for topic in &topics {
            until_isr(&cluster, topic, &[101, 102]);
            produce(&cluster, topic, values.clone());
            until_equal(&cluster, topic, &[101, 102]);
        }
    };
    all_take(0..2);
    let before = said(&cluster, "fetching begins");
    assert!(before <= 2, "{before}: one of each broker at most");

    set_fetchers(&cluster, 2);
    until("there are more", || said(&cluster, "fetching begins") > before);
    all_take(2..4);

    set_fetchers(&cluster, 1);
    until("those that are too many end", || said(&cluster, "fetching ends") > 0);
    all_take(4..6);
}
