//! Structs, enums, operation markers and error constructors.

use crate::model::{Reference, Shape};
use crate::names;
use crate::plan::Plan;
use std::collections::BTreeSet;
use std::fmt::Write;

/// Appends everything but the tables.
pub fn write(plan: &Plan, text: &mut String) {
    text.push_str(HEADER);
    for (name, shape) in &plan.shapes {
        let used = plan.read.contains(name) || plan.written.contains(name);
        match shape.kind.as_str() {
            "structure" if used && !shape.document => structure(plan, name, shape, text),
            "string" if used && !shape.values.is_empty() => enumeration(plan, name, shape, text),
            _ => {}
        }
    }
    operations(plan, text);
    errors(plan, text);
}

const HEADER: &str = "\
#[allow(unused_imports)]
use gust_wire::{Bytes, Doc, FromDoc, IntoDoc, TimestampMs};
#[allow(unused_imports)]
use std::collections::BTreeMap;
";

// Writing to a String cannot fail, which is why the results of `writeln!` are let go below.

fn rust_type(plan: &Plan, shape_name: &str) -> String {
    let shape = plan.shape(shape_name);
    let inner = |part: &Option<Reference>| part.as_ref().map_or("Doc".to_owned(), |part| rust_type(plan, &part.shape));
    match shape.kind.as_str() {
        "structure" if shape.document => "Doc".to_owned(),
        "structure" if shape.eventstream => "gust_wire::EventStream".to_owned(),
        "structure" => plan.type_name(shape_name),
        "string" if !shape.values.is_empty() => plan.type_name(shape_name),
        "list" => format!("Vec<{}>", inner(&shape.member)),
        "map" => format!("BTreeMap<String, {}>", inner(&shape.value)),
        "string" | "character" => "String".to_owned(),
        "blob" => "Bytes".to_owned(),
        "timestamp" => "TimestampMs".to_owned(),
        "integer" | "short" | "byte" => "i32".to_owned(),
        "long" | "biginteger" => "i64".to_owned(),
        "float" | "double" | "bigdecimal" => "f64".to_owned(),
        "boolean" => "bool".to_owned(),
        other => panic!("shape {shape_name} has the unknown type {other}"),
    }
}

struct Field<'a> {
    member: &'a str,
    name: String,
    shape: &'a str,
    rust_type: String,
    required: bool,
}

fn fields<'a>(plan: &Plan, owner: &str, shape: &'a Shape) -> Vec<Field<'a>> {
    let field = |(member, reference): &'a (String, Reference)| {
        let plain = rust_type(plan, &reference.shape);
        let boxed = plan.boxed(owner, &reference.shape);
        Field {
            member,
            name: names::field(member),
            shape: &reference.shape,
            rust_type: if boxed { format!("Box<{plain}>") } else { plain },
            required: shape.required.contains(member) && !boxed,
        }
    };
    shape.members.0.iter().map(field).collect()
}

fn structure(plan: &Plan, name: &str, shape: &Shape, text: &mut String) {
    let type_name = plan.type_name(name);
    let fields = fields(plan, name, shape);
    let _ = writeln!(text, "\n#[derive(Debug, Clone, Default, PartialEq)]\npub struct {type_name} {{");
    for Field { name, rust_type, required, .. } in &fields {
        let _ = match required {
            true => writeln!(text, "    pub {name}: {rust_type},"),
            false => writeln!(text, "    pub {name}: Option<{rust_type}>,"),
        };
    }
    text.push_str("}\n");
    if plan.read.contains(name) {
        from_doc(&type_name, &fields, text);
    }
    if plan.written.contains(name) {
        into_doc(plan, &type_name, &fields, text);
    }
}

fn from_doc(type_name: &str, fields: &[Field<'_>], text: &mut String) {
    let _ = writeln!(text, "impl FromDoc for {type_name} {{");
    if fields.is_empty() {
        let _ = writeln!(text, "    fn from_doc(_: Doc) -> Self {{ {type_name} {{}} }}\n}}");
        return;
    }
    text.push_str("    fn from_doc(doc: Doc) -> Self {\n        let mut this = Self::default();\n");
    text.push_str("        for (name, value) in gust_wire::typed::members(doc) {\n            match name.as_str() {\n");
    for Field { member, name, required, .. } in fields {
        let _ = match required {
            true => writeln!(text, "                \"{member}\" => this.{name} = FromDoc::from_doc(value),"),
            false => writeln!(text, "                \"{member}\" => this.{name} = Some(FromDoc::from_doc(value)),"),
        };
    }
    text.push_str("                _ => {}\n            }\n        }\n        this\n    }\n}\n");
}

fn into_doc(plan: &Plan, type_name: &str, fields: &[Field<'_>], text: &mut String) {
    let _ = writeln!(text, "impl IntoDoc for {type_name} {{\n    fn into_doc(self) -> Doc {{");
    if fields.is_empty() {
        text.push_str("        Doc::Map(Vec::new())\n    }\n}\n");
        return;
    }
    text.push_str("        let mut members = Vec::new();\n");
    for Field { member, name, shape, required, .. } in fields {
        let _ = match (required, plan.holds_timestamp(shape)) {
            (true, false) => {
                writeln!(text, "        gust_wire::typed::put(&mut members, \"{member}\", self.{name}.into_doc());")
            }
            (false, false) => writeln!(
                text,
                "        if let Some(value) = self.{name} {{ gust_wire::typed::put(&mut members, \"{member}\", value.into_doc()); }}"
            ),
            (true, true) => {
                let value = timestamps(plan, shape, &format!("self.{name}"));
                writeln!(text, "        gust_wire::typed::put(&mut members, \"{member}\", {value});")
            }
            (false, true) => {
                let value = timestamps(plan, shape, "value");
                writeln!(
                    text,
                    "        if let Some(value) = self.{name} {{ gust_wire::typed::put(&mut members, \"{member}\", {value}); }}"
                )
            }
        };
    }
    text.push_str("        Doc::Map(members)\n    }\n}\n");
}

/// A timestamp is an `i64` in Rust, so the text has to say that it is not a plain integer.
fn timestamps(plan: &Plan, shape: &str, value: &str) -> String {
    let shape = plan.shape(shape);
    match (shape.kind.as_str(), &shape.member, &shape.value) {
        ("list", Some(item), _) => {
            let item = timestamps(plan, &item.shape, "item");
            format!("Doc::List({value}.into_iter().map(|item| {item}).collect())")
        }
        ("map", _, Some(item)) => {
            let item = timestamps(plan, &item.shape, "item");
            format!("Doc::Map({value}.into_iter().map(|(key, item)| (key, {item})).collect())")
        }
        _ => format!("Doc::Timestamp({value})"),
    }
}

fn enumeration(plan: &Plan, name: &str, shape: &Shape, text: &mut String) {
    let type_name = plan.type_name(name);
    let mut taken = BTreeSet::new();
    let mut variants = Vec::new();
    for value in &shape.values {
        let mut variant = names::variant(value);
        while !taken.insert(variant.clone()) {
            variant.push('_');
        }
        variants.push((variant, value));
    }
    let _ = writeln!(
        text,
        "\n#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]\npub enum {type_name} {{"
    );
    text.push_str("    #[default]\n    Unrecognized,\n");
    for (variant, _) in &variants {
        let _ = writeln!(text, "    {variant},");
    }
    let _ = writeln!(text, "}}\nimpl {type_name} {{");
    let all: Vec<String> = variants.iter().map(|(variant, _)| format!("{type_name}::{variant}")).collect();
    let _ = writeln!(text, "    pub const ALL: &'static [{type_name}] = &[{}];", all.join(", "));
    text.push_str(
        "    pub fn as_str(self) -> &'static str {\n        match self {\n            Self::Unrecognized => \"\",\n",
    );
    for (variant, value) in &variants {
        let _ = writeln!(text, "            Self::{variant} => {value:?},");
    }
    text.push_str("        }\n    }\n");
    text.push_str("    pub fn parse(text: &str) -> Option<Self> { Self::ALL.iter().copied().find(|value| value.as_str() == text) }\n}\n");
    let _ = writeln!(
        text,
        "impl std::fmt::Display for {type_name} {{ fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {{ f.write_str(self.as_str()) }} }}"
    );
    if plan.read.contains(name) {
        let _ = writeln!(
            text,
            "impl FromDoc for {type_name} {{ fn from_doc(doc: Doc) -> Self {{ doc.as_str().and_then(Self::parse).unwrap_or_default() }} }}"
        );
    }
    if plan.written.contains(name) {
        let _ = writeln!(
            text,
            "impl IntoDoc for {type_name} {{ fn into_doc(self) -> Doc {{ gust_wire::typed::enum_doc(self.as_str()) }} }}"
        );
    }
}

fn operations(plan: &Plan, text: &mut String) {
    for (name, (input, output)) in &plan.ends {
        let (input, output) = (plan.type_name(input), plan.type_name(output));
        let _ = writeln!(
            text,
            "\n#[derive(Debug, Clone, Copy, Default)]\npub struct {name};\n\
             impl gust_wire::OperationShape for {name} {{\n    type Input = {input};\n    type Output = {output};\n    \
             const MODEL: &'static gust_wire::OperationModel = &tables::OP_{name};\n}}"
        );
    }
}

fn errors(plan: &Plan, text: &mut String) {
    text.push_str("\npub mod errors {\n    use gust_wire::AwsError;\n");
    for (name, shape) in plan.shapes.iter().filter(|(_, shape)| shape.exception) {
        let status = shape.error_status();
        let side = if shape.fault || status >= 500 { "receiver" } else { "sender" };
        let _ = writeln!(
            text,
            "    pub fn {}(message: impl Into<String>) -> AwsError {{ AwsError::{side}(\"{}\", {status}, message) }}",
            names::field(name),
            shape.error_code(name),
        );
    }
    text.push_str("}\n");
}
