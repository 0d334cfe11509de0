//! The query protocol: a form in, XML out.
//!
//! Source: <https://smithy.io/2.0/aws/protocols/aws-query-protocol.html>

use crate::failure::{malformed_input, malformed_query};
use crate::json_write::for_each_member;
use crate::message::{WireRequest, WireResponse};
use crate::schema::{OperationModel, ServiceModel, Shape, StructureShape, TimestampFormat};
use crate::xml_write::XmlWriter;
use crate::{error_body, percent, scalar};
use bytes::Bytes;
use gust_types::{AwsError, Doc, Fault};
use std::collections::BTreeSet;

/// How deep members may nest. No AWS interface comes near it.
const DEPTH_MAX: usize = 64;

/// Reads an input from the query and the body.
pub fn decode(operation: &OperationModel, request: &WireRequest<'_>) -> Result<Doc, AwsError> {
    let body = std::str::from_utf8(&request.body).map_err(|_| malformed_query())?;
    let mut pairs = Vec::new();
    for pair in percent::pairs(request.query).chain(percent::pairs(body)) {
        let (key, value) = pair.map_err(|_| malformed_query())?;
        pairs.push((key.into_owned(), value.into_owned()));
    }
    // A stable sort: of a key that comes twice the last one counts.
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    let form = Form { pairs };
    form.structure(operation.input, "", 0)
}

/// A form, sorted by key.
struct Form {
    pairs: Vec<(String, String)>,
}

impl Form {
    /// The pairs whose keys are `prefix` or go on from it with a dot.
    fn has(&self, prefix: &str) -> bool {
        self.text(prefix).is_some() || self.below(prefix).next().is_some()
    }

    fn text(&self, key: &str) -> Option<&str> {
        let after = self.pairs.partition_point(|(other, _)| other.as_str() <= key);
        let last = self.pairs.get(after.checked_sub(1)?)?;
        (last.0 == key).then_some(last.1.as_str())
    }

    /// What follows `prefix.` in the keys that start with it.
    fn below<'a>(&'a self, prefix: &str) -> impl Iterator<Item = &'a str> {
        let start = format!("{prefix}.");
        let from = self.pairs.partition_point(|(key, _)| *key < start);
        self.pairs[from..].iter().map_while(move |(key, _)| key.strip_prefix(start.as_str()))
    }

    fn structure(&self, shape: &StructureShape, prefix: &str, depth: usize) -> Result<Doc, AwsError> {
        let mut members = Vec::new();
        for member in shape.members {
            let key =
                if prefix.is_empty() { member.wire_name.to_owned() } else { format!("{prefix}.{}", member.wire_name) };
            if let Some(value) = self.value(member.shape, &key, depth + 1)? {
                members.push((member.name.to_owned(), value));
            }
        }
        Ok(Doc::Map(members))
    }

    fn value(&self, shape: &Shape, key: &str, depth: usize) -> Result<Option<Doc>, AwsError> {
        if depth > DEPTH_MAX {
            return Err(malformed_input(format!("The request nests more than {DEPTH_MAX} levels")));
        }
        if !self.has(key) {
            return Ok(None);
        }
        match shape {
            Shape::Structure(shape) => self.structure(shape, key, depth).map(Some),
            Shape::List { item, item_name, flattened, .. } => {
                self.list(item, &self.inner(key, item_name, *flattened), depth).map(Some)
            }
            Shape::Map { value, entry_names, flattened, .. } => {
                self.map(value, *entry_names, &self.inner(key, "entry", *flattened), depth).map(Some)
            }
            scalar => {
                let Some(text) = self.text(key) else {
                    return Err(malformed_input(format!("Start of structure or map found where not expected: {key}")));
                };
                scalar::from_text(scalar, text).map(Some).map_err(malformed_input)
            }
        }
    }

    /// The prefix of a collection's indices. Items are also accepted without the name between, as AWS does.
    fn inner(&self, key: &str, item_name: &str, flattened: bool) -> String {
        let named = format!("{key}.{item_name}");
        if !flattened && self.below(&named).next().is_some() { named } else { key.to_owned() }
    }

    /// The numbers that follow `prefix`, in order; gaps close up.
    fn indices(&self, prefix: &str) -> BTreeSet<u32> {
        self.below(prefix).filter_map(|rest| rest.split('.').next()?.parse().ok()).collect()
    }

    fn list(&self, item: &Shape, prefix: &str, depth: usize) -> Result<Doc, AwsError> {
        let mut items = Vec::new();
        for index in self.indices(prefix) {
            items.extend(self.value(item, &format!("{prefix}.{index}"), depth + 1)?);
        }
        Ok(Doc::List(items))
    }

    fn map(&self, value: &Shape, names: (&str, &str), prefix: &str, depth: usize) -> Result<Doc, AwsError> {
        let mut entries = Vec::new();
        for index in self.indices(prefix) {
            let key = self.text(&format!("{prefix}.{index}.{}", names.0));
            let key = key.ok_or_else(|| malformed_input(format!("{prefix}.{index} has no {}", names.0)))?;
            if let Some(value) = self.value(value, &format!("{prefix}.{index}.{}", names.1), depth + 1)? {
                entries.push((key.to_owned(), value));
            }
        }
        Ok(Doc::Map(entries))
    }
}

/// Writes an output.
pub fn encode(model: &ServiceModel, operation: &OperationModel, output: &Doc, request_id: &str) -> WireResponse {
    let mut xml = XmlWriter::new();
    let root = format!("{}Response", operation.route.name);
    xml.open_root(&root, model.xml_namespace);
    if let Some(wrapper) = operation.result_wrapper {
        xml.open(wrapper);
        members(operation.output, output, &mut xml);
        xml.close(wrapper);
    }
    xml.open("ResponseMetadata");
    xml.text_element("RequestId", request_id);
    xml.close("ResponseMetadata");
    xml.close(&root);
    respond(operation.status, request_id, xml)
}

/// Writes an error.
pub fn encode_error(
    model: &ServiceModel,
    operation: Option<&OperationModel>,
    error: &AwsError,
    request_id: &str,
) -> WireResponse {
    let mut xml = XmlWriter::new();
    xml.open_root("ErrorResponse", model.xml_namespace);
    xml.open("Error");
    xml.text_element("Type", if error.fault == Fault::Sender { "Sender" } else { "Receiver" });
    xml.text_element("Code", &error.code);
    xml.text_element("Message", &error.message);
    let shape = error_body::model_of(model, operation, error).map(|known| known.shape);
    for (member, name, value) in error_body::members(shape, error) {
        if !name.eq_ignore_ascii_case("message") && name != "Type" {
            element(name, member.map_or(&Shape::Document, |member| member.shape), &value, &mut xml);
        }
    }
    xml.close("Error");
    xml.text_element("RequestId", request_id);
    xml.close("ErrorResponse");
    respond(error.status, request_id, xml)
}

fn respond(status: u16, request_id: &str, xml: XmlWriter) -> WireResponse {
    let mut response = WireResponse::new(status, request_id);
    response.set_header("content-type", "text/xml");
    response.body = Bytes::from(xml.finish());
    response
}

fn members(shape: &StructureShape, value: &Doc, xml: &mut XmlWriter) {
    for_each_member(shape, value, |member, value| element(member.wire_name, member.shape, value, xml));
}

fn element(name: &str, shape: &Shape, value: &Doc, xml: &mut XmlWriter) {
    match (shape, value) {
        (Shape::Structure(shape), Doc::Map(_)) => {
            xml.open(name);
            members(shape, value, xml);
            xml.close(name);
        }
        (Shape::List { item, flattened: true, .. }, Doc::List(items)) => {
            items.iter().for_each(|value| element(name, item, value, xml))
        }
        (Shape::List { item, item_name, .. }, Doc::List(items)) => {
            xml.open(name);
            items.iter().for_each(|value| element(item_name, item, value, xml));
            xml.close(name);
        }
        (Shape::Map { value: item, entry_names, flattened, .. }, Doc::Map(entries)) => {
            let entry = if *flattened { name } else { "entry" };
            if !flattened {
                xml.open(name);
            }
            for (key, value) in entries {
                xml.open(entry);
                xml.text_element(entry_names.0, key);
                element(entry_names.1, item, value, xml);
                xml.close(entry);
            }
            if !flattened {
                xml.close(name);
            }
        }
        _ => {
            if let Some(text) = scalar::to_text(shape, value, TimestampFormat::Iso8601) {
                xml.text_element(name, &text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{MODEL, OP_LIST_THINGS, OP_PUT_THING, map, shown, text, texts};
    use proptest::prelude::*;

    fn read(query: &str, body: &str) -> Result<Doc, AwsError> {
        let headers = http::HeaderMap::new();
        let body = Bytes::copy_from_slice(body.as_bytes());
        decode(&OP_PUT_THING, &WireRequest { method: "POST", path: "/", query, headers: &headers, body })
    }

    #[test]
    fn forms_are_read() {
        let body = "Action=PutThing&Version=2020-01-01&Name=a+b%26&Size=7&Flag=TRUE&Data=AQID&At=2016-11-24T15%3A06%3A40Z\
            &Tags.member.10.Key=z&Tags.member.2.Key=k&Tags.member.2.Value=&Labels.entry.1.key=x&Labels.entry.1.value=1\
            &Flat.1=p&Flat.2=q&Nested.Inner.Count=3&renamedOnTheWire.member.1=r&Unknown=1";
        let expected = map([
            ("Name", text("a b&")),
            ("Size", Doc::Integer(7)),
            ("Tags", Doc::List(vec![map([("Key", text("k")), ("Value", text(""))]), map([("Key", text("z"))])])),
            ("Labels", map([("x", text("1"))])),
            ("Nested", map([("Inner", map([("Count", Doc::Integer(3))]))])),
            ("Flag", Doc::Boolean(true)),
            ("Data", Doc::Blob(Bytes::from_static(&[1, 2, 3]))),
            ("At", Doc::Timestamp(1_480_000_000_000)),
            ("Flat", texts(["p", "q"])),
            ("Renamed", texts(["r"])),
        ]);
        assert_eq!(read("", body).unwrap(), expected);
        assert_eq!(read(body, "").unwrap(), expected);
    }

    #[test]
    fn lenient_readings() {
        for (body, expected) in [
            ("", map([])),
            ("Name=", map([("Name", text(""))])),
            ("Name=a&Name=b", map([("Name", text("b"))])),
            ("Kinds=", map([("Kinds", Doc::List(vec![]))])),
            ("Kinds.1=big", map([("Kinds", texts(["big"]))])),
            ("Labels=", map([("Labels", map([]))])),
            ("Namespace=a", map([])),
        ] {
            assert_eq!(read("", body).unwrap(), expected, "{body}");
        }
    }

    #[test]
    fn wrong_forms_are_refused() {
        for (body, expected) in [
            ("Size=x", "400 MalformedInput: STRING_VALUE can not be converted to an Integer"),
            ("Flag=yes", "400 MalformedInput: STRING_VALUE can not be converted to a Boolean"),
            ("Name.a=1", "400 MalformedInput: Start of structure or map found where not expected: Name"),
            ("Labels.entry.1.value=1", "400 MalformedInput: Labels.entry.1 has no key"),
            ("Name=%", "404 MalformedQueryString: The query string contains a syntax error."),
            ("%GG=1", "404 MalformedQueryString: The query string contains a syntax error."),
        ] {
            let error = read("", body).unwrap_err();
            assert_eq!(format!("{} {error}", error.status), expected, "{body}");
        }
        let deep = format!("Nested{}.Count=1", ".Inner".repeat(10_000));
        assert_eq!(read("", &deep).unwrap_err().message, "The request nests more than 64 levels");
    }

    #[test]
    fn outputs_are_written() {
        let output = map([
            ("Name", text("<a & \"b\">\r\n\u{1}")),
            ("Tags", Doc::List(vec![map([("Key", text("k"))])])),
            ("Labels", map([("x", text("1"))])),
            ("At", Doc::Timestamp(1_480_000_000_000)),
            ("Flat", texts(["p", "q"])),
            ("Kinds", Doc::List(vec![])),
        ]);
        assert_eq!(
            shown(&encode(&MODEL, &OP_PUT_THING, &output, "id")),
            "201\nx-amzn-requestid: id\ncontent-type: text/xml\n\n\
             <PutThingResponse xmlns=\"https://fixture.example.com/doc/2020-01-01/\"><PutThingResult>\
             <Name>&lt;a &amp; &quot;b&quot;&gt;&#xD;\n\u{fffd}</Name><Kinds></Kinds>\
             <Tags><member><Key>k</Key></member></Tags>\
             <Labels><entry><key>x</key><value>1</value></entry></Labels><At>2016-11-24T15:06:40Z</At>\
             <Flat>p</Flat><Flat>q</Flat></PutThingResult>\
             <ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></PutThingResponse>"
        );
        assert_eq!(
            String::from_utf8_lossy(&encode(&MODEL, &OP_LIST_THINGS, &map([]), "id").body),
            "<ListThingsResponse xmlns=\"https://fixture.example.com/doc/2020-01-01/\">\
             <ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></ListThingsResponse>"
        );
    }

    #[test]
    fn errors_are_written() {
        let error = AwsError::sender("NoSuchEntity", 404, "The role with name a&b cannot be found.");
        assert_eq!(
            shown(&encode_error(&MODEL, None, &error, "id")),
            "404\nx-amzn-requestid: id\ncontent-type: text/xml\n\n\
             <ErrorResponse xmlns=\"https://fixture.example.com/doc/2020-01-01/\"><Error><Type>Sender</Type>\
             <Code>NoSuchEntity</Code><Message>The role with name a&amp;b cannot be found.</Message></Error>\
             <RequestId>id</RequestId></ErrorResponse>"
        );
    }

    fn escaped(text: &str) -> String {
        text.bytes().map(|byte| format!("%{byte:02X}")).collect()
    }

    proptest! {
        #[test]
        fn any_form_is_read_or_refused(body in "[A-Za-z0-9.=&%+]{0,200}") {
            let _ = read("", &body);
        }

        #[test]
        fn what_a_client_writes_is_read(name in "\\PC*", tags in prop::collection::vec(("\\PC*", "\\PC*"), 0..12), size: i32) {
            let mut body = format!("Name={}&Size={size}", escaped(&name));
            for (index, (key, value)) in tags.iter().enumerate() {
                let at = format!("Tags.member.{}", index + 1);
                body.push_str(&format!("&{at}.Value={}&{at}.Key={}", escaped(value), escaped(key)));
            }
            let mut expected = vec![("Name".to_owned(), text(&name)), ("Size".to_owned(), Doc::Integer(size.into()))];
            if !tags.is_empty() {
                let tags = tags.iter().map(|(key, value)| map([("Key", text(key)), ("Value", text(value))]));
                expected.push(("Tags".to_owned(), Doc::List(tags.collect())));
            }
            prop_assert_eq!(read("", &body).unwrap(), Doc::Map(expected));
        }
    }
}
