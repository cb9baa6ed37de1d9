//! DescribeTransactions (65), version 0: transactions by their ids, with the partitions that they have written to.

use std::sync::Arc;

use protocol::ErrorCode;
use protocol::messages::describe_transactions_request::DescribeTransactionsRequest;
use protocol::messages::describe_transactions_response::{
    DescribeTransactionsResponse, TransactionState,
};
use transaction::{Query, Reply};

use crate::authorizer::{Operation, Resource};
use crate::request::RequestContext;

crate::handler!(DescribeTransactions, DescribeTransactionsRequest<'_>, handle);

async fn handle(
    context: &RequestContext,
    request: DescribeTransactionsRequest<'_>,
) -> DescribeTransactionsResponse<'static> {
    let mut transaction_states = Vec::with_capacity(request.transactional_ids.len());
    for id in &request.transactional_ids {
        let mut state = describe(context, id).await.unwrap_or_else(|error| TransactionState {
            transactional_id: id.to_string().into(),
            error_code: error.code(),
            ..Default::default()
        });
        state.topics.retain(|row| context.allows(Operation::Describe, Resource::Topic(&row.topic)));
        transaction_states.push(state);
    }
    DescribeTransactionsResponse { transaction_states, ..Default::default() }
}

async fn describe(
    context: &RequestContext,
    id: &str,
) -> Result<TransactionState<'static>, ErrorCode> {
    if !context.allows(Operation::Describe, Resource::TransactionalId(id)) {
        return Err(ErrorCode::TransactionalIdAuthorizationFailed);
    }
    let node = &context.node;
    match node.transactions.query(node, id, Query::Describe(Arc::from(id))).await? {
        Reply::Describe(state) => Ok(state),
        _ => Err(ErrorCode::UnknownServerError),
    }
}
