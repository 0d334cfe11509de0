//! Turns a service's `api.json` into Rust: types, operation markers, error constructors and the tables
//! that `gust_wire` interprets. It runs in build scripts; no generated code is committed.
//!
//! What comes out, for a service crate that includes it as `mod api`:
//! - a struct for each structure. Required members have plain types, others are `Option`. Strings are
//!   `String`, blobs `Bytes`, timestamps `TimestampMs` (`i64`), integers `i32`, longs `i64`, floats `f64`,
//!   lists `Vec`, maps `BTreeMap<String, _>`, free-form documents `Doc`.
//! - a `Copy` enum for each string with permitted values, with `as_str`, `parse`, `ALL` and `Display`.
//!   Its default is `Unrecognized`, which stands for "absent or not in the model": the validator refuses
//!   such values, so that an operation never meets one in a validated input.
//! - a unit struct for each operation that implements `gust_wire::OperationShape`. An operation without
//!   input or output gets an empty `<Operation>Request` or `<Operation>Response`.
//! - `errors::<snake_case>(message) -> AwsError` for each error the operations name.
//! - `MODEL`, the service's table.

pub mod model;
mod names;
mod plan;
mod rust_types;
mod tables;

use model::{Api, Ordered};
use plan::Plan;
use std::path::{Path, PathBuf};

/// `members.json`: operation -> member path -> key -> text.
///
/// The keys `accepted` (has no effect, a warning names it) and `refused` (501 by name) take the reason; `honoured` takes
/// how far, for operations whose table is to be complete (`cargo xtask tidy` checks those with one such key). The keys
/// `required`, `length`, `range`, `pattern`, `values` and `items` take `Code: message` for an operation that
/// reports such a broken constraint in words of its own; `{value}` and `{values}` are filled in.
pub type MemberPolicies = Ordered<Ordered<Ordered<String>>>;

/// The body of a service's build script: writes `OUT_DIR/api.rs` from `api.json` and `members.json` beside the
/// script, and stops the build with a readable message if they are wrong.
pub fn build() {
    let folder = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it for build scripts"));
    let target = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it for build scripts"));
    let (api, members) = (folder.join("api.json"), folder.join("members.json"));
    println!("cargo::rerun-if-changed={}", api.display());
    println!("cargo::rerun-if-changed={}", members.display());
    let outcome = generate(&api, &members)
        .and_then(|text| std::fs::write(target.join("api.rs"), text).map_err(|error| error.to_string()));
    if let Err(message) = outcome {
        println!("cargo::error={message}");
        std::process::exit(1);
    }
}

/// The Rust text for the description at `api` with the member policies at `members`.
///
/// Errors say which file is wrong and how.
pub fn generate(api: &Path, members: &Path) -> Result<String, String> {
    generate_from(read_api(api)?, read_members(members)?)
}

fn generate_from(api: Api, policies: MemberPolicies) -> Result<String, String> {
    let plan = Plan::new(api, policies)?;
    let mut text = String::from("// Generated from api.json and members.json by gust_codegen.\n");
    rust_types::write(&plan, &mut text);
    tables::write(&plan, &mut text);
    Ok(text)
}

/// Reads an `api.json`.
pub fn read_api(path: &Path) -> Result<Api, String> {
    read_json(path)
}

/// Reads a `members.json`; an absent file says nothing.
pub fn read_members(path: &Path) -> Result<MemberPolicies, String> {
    if path.exists() { read_json(path) } else { Ok(Ordered::default()) }
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, String> {
    let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// The snake case of a model's name: the file of an operation, the constructor of an error.
pub fn snake_case(name: &str) -> String {
    names::snake(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const API: &str = r#"{
        "service": "tiny", "source": "test", "validationCode": "ValidationException",
        "metadata": {"apiVersion": "2020-01-01", "endpointPrefix": "tiny", "protocol": "rest-json"},
        "operations": {
            "PutTree": {"http": {"method": "PUT", "requestUri": "/trees/{Name}"}, "input": {"shape": "Tree"}, "errors": [{"shape": "Gone"}]},
            "Option": {"http": {"method": "GET", "requestUri": "/option", "responseCode": 202}, "output": {"shape": "OptionResponse"}},
            "Watch": {"http": {"method": "GET", "requestUri": "/watch"}, "output": {"shape": "WatchResponse"}}
        },
        "shapes": {
            "Tree": {"type": "structure", "required": ["Name"], "members": {
                "Name": {"shape": "Text", "location": "uri", "locationName": "Name"},
                "Type": {"shape": "Kind"}, "Left": {"shape": "Tree"}, "Children": {"shape": "Trees"}, "Times": {"shape": "Times"}}},
            "Trees": {"type": "list", "member": {"shape": "Tree"}},
            "Times": {"type": "map", "key": {"shape": "Text"}, "value": {"shape": "Time"}},
            "Time": {"type": "timestamp"},
            "Text": {"type": "string", "max": 3, "pattern": "[a-z]\\d"},
            "Kind": {"type": "string", "enum": ["oak", "OAK", "fir.2"]},
            "OptionResponse": {"type": "structure", "members": {"Times": {"shape": "Times"}}},
            "WatchResponse": {"type": "structure", "payload": "Events", "members": {"Events": {"shape": "Events"}}},
            "Events": {"type": "structure", "eventstream": true, "members": {"Leaf": {"shape": "Leaf"}}},
            "Leaf": {"type": "structure", "event": true, "members": {
                "Veins": {"shape": "Text", "eventpayload": true}, "Size": {"shape": "Text", "eventheader": true}}},
            "Gone": {"type": "structure", "exception": true, "members": {}, "error": {"code": "TreeGone", "httpStatusCode": 410}}
        },
        "unimplemented": [{"name": "CutTree", "method": "DELETE", "uri": "/trees/{Name}"}]
    }"#;

    fn generated(members: &str) -> Result<String, String> {
        generate_from(serde_json::from_str(API).unwrap(), serde_json::from_str(members).unwrap())
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }

    #[test]
    fn types_are_plain_rust() {
        let text = generated("{}").unwrap();
        check(
            &text,
            "pub struct Tree {\n    pub name: String,\n    pub r#type: Option<Kind>,\n    pub left: Option<Box<Tree>>,\n    pub children: Option<Vec<Tree>>,\n    pub times: Option<BTreeMap<String, TimestampMs>>,\n}",
        );
        check(&text, "    Unrecognized,\n    Oak,\n    Oak_,\n    Fir2,\n");
        check(&text, "pub struct PutTreeResponse {\n}");
        check(&text, "pub struct WatchResponse {\n    pub events: Option<gust_wire::EventStream>,\n}");
        check(&text, "pub static S_Events: Shape = Shape::EventStream(&T_Events);");
        check(&text, "location: Location::EventPayload, required: false");
        check(&text, "location: Location::EventHeader, required: false");
        check(&text, "(key, Doc::Timestamp(item))");
        check(
            &text,
            "pub fn gone(message: impl Into<String>) -> AwsError { AwsError::sender(\"TreeGone\", 410, message) }",
        );
        check(
            &text,
            "impl gust_wire::OperationShape for PutTree {\n    type Input = Tree;\n    type Output = PutTreeResponse;",
        );
    }

    #[test]
    fn tables_say_what_the_model_says() {
        let text = generated(r#"{"PutTree": {"Name": {"honoured": "Yes."}, "Left.Children.Times": {"refused": "no time"}, "Type": {"accepted": "all are oaks", "values": "TreeException: no {value}"}}}"#).unwrap();
        check(
            &text,
            r#"MemberPolicy { member: "Left.Children.Times", treatment: Treatment::Refused, reason: "no time" }"#,
        );
        check(&text, r#"MemberPolicy { member: "Type", treatment: Treatment::Accepted, reason: "all are oaks" }"#);
        check(
            &text,
            r#"Wording { member: "Type", constraint: ConstraintKind::Values, code: "TreeException", message: "no {value}" }"#,
        );
        check(&text, r#"pattern: Some("[a-z]\\d")"#);
        check(
            &text,
            r#"MemberShape { name: "Name", wire_name: "Name", location: Location::Uri, required: true, shape: &S_Text }"#,
        );
        assert!(!text.contains(r#"MemberPolicy { member: "Name""#), "what is honoured needs no check");
        check(&text, "pub static T_PutTreeResponse: StructureShape = StructureShape { name: \"\",");
        check(&text, r#"OperationRoute { name: "CutTree", method: "DELETE", uri: "/trees/{Name}" }"#);
    }

    #[test]
    fn mistakes_in_members_json_stop_the_build() {
        for (members, expected) in [
            (r#"{"CutTree": {}}"#, "tiny/members.json: CutTree is not an operation of api.json"),
            (r#"{"PutTree": {"Leaf": {"refused": "x"}}}"#, "tiny/members.json: PutTree has no member Leaf"),
            (r#"{"PutTree": {"Left.Leaf": {"refused": "x"}}}"#, "tiny/members.json: PutTree has no member Left.Leaf"),
            (
                r#"{"PutTree": {"Left": {"ignored": "x"}}}"#,
                "tiny/members.json: PutTree.Left.ignored is not understood; see gust_codegen::MemberPolicies",
            ),
            (
                r#"{"PutTree": {"Left": {"refused": ""}}}"#,
                "tiny/members.json: PutTree.Left.refused is not understood; see gust_codegen::MemberPolicies",
            ),
        ] {
            assert_eq!(generated(members).unwrap_err(), expected);
        }
    }
}
