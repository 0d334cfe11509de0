//! CreateLogStream: <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogStream.html>

use crate::api::{CreateLogStream, CreateLogStreamRequest, CreateLogStreamResponse};
use crate::error::LogsError;
use crate::rules::identifier;
use crate::{Logs, catalog, keys};
use gust_kit::{Cx, Operation};

impl Operation for CreateLogStream {
    type Service = Logs;
    type Error = LogsError;

    async fn run(cx: &Cx<Logs>, input: CreateLogStreamRequest) -> Result<CreateLogStreamResponse, LogsError> {
        let group_name = identifier::by_name(&cx.call, &input.log_group_name);
        let now_ms = cx.now_ms();
        let committed = cx.store().transact(move |tx| {
            let group = catalog::load_group(tx, &group_name)?;
            if tx.get(&keys::stream(&group.id, &input.log_stream_name))?.is_some() {
                return Err(LogsError::StreamExists);
            }
            catalog::create_stream(tx, &group.id, &input.log_stream_name, now_ms)?;
            Ok(())
        });
        committed.await?;
        Ok(CreateLogStreamResponse {})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{Bench, code_and_message};

    #[tokio::test]
    async fn a_stream_is_made_once_in_a_group_that_is_there() {
        let bench = Bench::new().await;
        let request = CreateLogStreamRequest { log_group_name: "g".to_owned(), log_stream_name: "s".to_owned() };
        let expected = ("ResourceNotFoundException".to_owned(), "The specified log group does not exist.".to_owned());
        assert_eq!(code_and_message(bench.run::<CreateLogStream>(request.clone()).await), expected);
        bench.create_group("g").await;
        bench.run::<CreateLogStream>(request.clone()).await.unwrap();
        let expected =
            ("ResourceAlreadyExistsException".to_owned(), "The specified log stream already exists".to_owned());
        assert_eq!(code_and_message(bench.run::<CreateLogStream>(request).await), expected);
    }
}
