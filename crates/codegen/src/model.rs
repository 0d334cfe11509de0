//! The interface description of a service: what botocore's `service-2.json` and our `api.json` share.
//!
//! `api.json` keeps botocore's own spelling of shapes, so that one set of types reads both; whatever
//! is not named here (documentation above all) is dropped on the way.

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;

/// A JSON object that keeps its order, because the model's order is the order on the wire.
#[derive(Debug, Clone, PartialEq)]
pub struct Ordered<T>(pub Vec<(String, T)>);

impl<T> Ordered<T> {
    /// The value under `key`.
    pub fn get(&self, key: &str) -> Option<&T> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Ordered(Vec::new())
    }
}

impl<T: Serialize> Serialize for Ordered<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Ordered<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = access.next_entry()? {
                    entries.push(entry);
                }
                Ok(Ordered(entries))
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

fn is_false(value: &bool) -> bool {
    !*value
}

/// `api.json`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Api {
    /// The AWS CLI's name of the service.
    pub service: String,
    /// Where the description was taken from.
    pub source: String,
    /// The error code of a request that breaks a constraint of the model.
    pub validation_code: String,
    /// Names and protocol.
    pub metadata: Metadata,
    /// The implemented operations by name.
    pub operations: Ordered<Operation>,
    /// Their shapes by name, transitively.
    pub shapes: Ordered<Shape>,
    /// All other operations.
    pub unimplemented: Vec<Route>,
}

/// botocore's `service-2.json`, as far as it is read.
#[derive(Debug, Clone, Deserialize)]
pub struct Upstream {
    /// Names and protocol.
    pub metadata: Metadata,
    /// All operations.
    pub operations: Ordered<Operation>,
    /// All shapes.
    pub shapes: Ordered<Shape>,
}

/// Names and protocol of a service.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// For example `2015-03-31`.
    pub api_version: String,
    /// The prefix of hosts and of IAM actions.
    pub endpoint_prefix: String,
    /// The name in a credential scope; the endpoint prefix by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_name: Option<String>,
    /// `json`, `rest-json`, `rest-xml`, `query`.
    pub protocol: String,
    /// The version of the `json` protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json_version: Option<String>,
    /// The part of `X-Amz-Target` before the dot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_prefix: Option<String>,
    /// The namespace of XML responses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xml_namespace: Option<String>,
}

/// How a request names an operation that gust lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The operation.
    pub name: String,
    /// The HTTP method.
    pub method: String,
    /// The path template.
    pub uri: String,
}

/// One operation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Operation {
    /// Method, path and success status.
    pub http: Http,
    /// The input structure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Reference>,
    /// The output structure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Reference>,
    /// The error structures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Reference>,
}

/// An operation's HTTP binding.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Http {
    /// The method.
    pub method: String,
    /// The path template.
    pub request_uri: String,
    /// The status of success; 200 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_code: Option<u16>,
}

/// A reference to a shape with the traits that stand at the reference.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reference {
    /// The shape's name.
    pub shape: String,
    /// The element around a query response's members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_wrapper: Option<String>,
    /// `uri`, `querystring`, `header`, `headers`, `statusCode`; the body by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// The name on the wire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location_name: Option<String>,
    /// A JSON document inside a header.
    #[serde(default, skip_serializing_if = "is_false")]
    pub jsonvalue: bool,
    /// `iso8601`, `rfc822`, `unixTimestamp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_format: Option<String>,
    /// The whole payload of an event.
    #[serde(default, skip_serializing_if = "is_false")]
    pub eventpayload: bool,
    /// A header of an event.
    #[serde(default, skip_serializing_if = "is_false")]
    pub eventheader: bool,
}

/// One shape.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shape {
    /// `structure`, `list`, `map`, `string`, `integer`, `long`, `float`, `double`, `boolean`, `blob`, `timestamp`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Members of a structure that must be present.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required: Vec<String>,
    /// Members of a structure.
    #[serde(default, skip_serializing_if = "Ordered::is_empty")]
    pub members: Ordered<Reference>,
    /// The member that is the whole body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// Whether the structure is an error.
    #[serde(default, skip_serializing_if = "is_false")]
    pub exception: bool,
    /// Whether the error is the service's fault.
    #[serde(default, skip_serializing_if = "is_false")]
    pub fault: bool,
    /// Code and status of an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorTrait>,
    /// A free-form document.
    #[serde(default, skip_serializing_if = "is_false")]
    pub document: bool,
    /// Whether the structure's members are the kinds of event of a stream.
    #[serde(default, skip_serializing_if = "is_false")]
    pub eventstream: bool,
    /// The items of a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<Reference>,
    /// The keys of a map.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Reference>,
    /// The values of a map.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Reference>,
    /// Whether a list's items or a map's entries stand directly in the parent.
    #[serde(default, skip_serializing_if = "is_false")]
    pub flattened: bool,
    /// Least length, count, size or value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<serde_json::Number>,
    /// Greatest length, count, size or value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<serde_json::Number>,
    /// The regular expression of a string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// The permitted values of a string.
    #[serde(default, rename = "enum", skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// `iso8601`, `rfc822`, `unixTimestamp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_format: Option<String>,
    /// Whether messages must not repeat the value.
    #[serde(default, skip_serializing_if = "is_false")]
    pub sensitive: bool,
}

/// Code and status of an error.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorTrait {
    /// The wire code where it is not the shape's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status_code: Option<u16>,
}

impl Shape {
    /// The HTTP status of an error shape: its own, or 500 and 400 by whose fault it is.
    pub fn error_status(&self) -> u16 {
        let default = if self.fault { 500 } else { 400 };
        self.error.as_ref().and_then(|error| error.http_status_code).unwrap_or(default)
    }

    /// The wire code of an error shape called `name`.
    pub fn error_code<'a>(&'a self, name: &'a str) -> &'a str {
        self.error.as_ref().and_then(|error| error.code.as_deref()).unwrap_or(name)
    }

    /// The names of all shapes it refers to.
    pub fn references(&self) -> impl Iterator<Item = &str> {
        let members = self.members.0.iter().map(|(_, reference)| reference);
        let parts = [&self.member, &self.key, &self.value].into_iter().flatten();
        members.chain(parts).map(|reference| reference.shape.as_str())
    }
}

impl Operation {
    /// The names of all shapes it refers to.
    pub fn references(&self) -> impl Iterator<Item = &str> {
        let parts = [&self.input, &self.output].into_iter().flatten();
        parts.chain(&self.errors).map(|reference| reference.shape.as_str())
    }
}
