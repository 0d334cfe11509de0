//! `/_gust/stats`: what the engine has counted, as JSON.

use gust_invoke::{FunctionStatistics, Percentiles};
use gust_types::AccountId;
use serde_json::{Value, json};

/// The functions of `account` that have been invoked since `since_ms`.
pub fn to_json(since_ms: i64, functions: &[FunctionStatistics], account: &AccountId) -> Value {
    let of_account = |function: &&FunctionStatistics| function.arn.split(':').nth(4) == Some(account.as_str());
    let functions: Vec<Value> = functions.iter().filter(of_account).map(function_json).collect();
    json!({"since_ms": since_ms, "functions": functions})
}

fn function_json(function: &FunctionStatistics) -> Value {
    json!({
        "arn": function.arn,
        "name": function.arn.splitn(7, ':').nth(6).unwrap_or_default(),
        "invocations": function.invocations,
        "errors": function.errors,
        "throttles": function.throttles,
        "cold_starts": function.cold_starts,
        "duration_ms": percentiles_json(function.duration),
        "init_ms": percentiles_json(function.init),
    })
}

fn percentiles_json(times: Percentiles) -> Value {
    let ms = |us: u64| us as f64 / 1_000.0;
    json!({"p50": ms(times.p50_us), "p90": ms(times.p90_us), "p99": ms(times.p99_us), "max": ms(times.max_us)})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_sees_its_own_functions() {
        let function = |account: &str| FunctionStatistics {
            arn: format!("arn:aws:lambda:us-east-1:{account}:function:f"),
            invocations: 1,
            errors: 0,
            throttles: 0,
            cold_starts: 1,
            duration: Percentiles { p50_us: 1_500, p90_us: 1_500, p99_us: 1_500, max_us: 1_500 },
            init: Percentiles::default(),
        };
        let all = [function("000000000000"), function("111111111111")];
        let shown = to_json(5, &all, &AccountId::parse("111111111111").unwrap());
        let functions = shown["functions"].as_array().unwrap();
        assert_eq!(functions.len(), 1);
        assert_eq!(functions[0]["arn"], all[1].arn);
        assert_eq!((&functions[0]["name"], &functions[0]["duration_ms"]["p99"]), (&json!("f"), &json!(1.5)));
        assert_eq!(shown["since_ms"], 5);
    }
}
