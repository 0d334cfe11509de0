//! A small invented service for the tests of this crate: one of each shape and binding.

use crate::schema::*;

const fn member(name: &'static str, shape: &'static Shape) -> MemberShape {
    MemberShape { name, wire_name: name, location: Location::Body, required: false, shape }
}

const fn bound(name: &'static str, wire_name: &'static str, location: Location, shape: &'static Shape) -> MemberShape {
    MemberShape { name, wire_name, location, required: false, shape }
}

const fn required(member: MemberShape) -> MemberShape {
    MemberShape {
        name: member.name,
        wire_name: member.wire_name,
        location: member.location,
        required: true,
        shape: member.shape,
    }
}

const fn string(min: Option<u64>, max: Option<u64>, pattern: Option<&'static str>) -> Shape {
    Shape::String { min, max, pattern, values: &[], json_value: false, sensitive: false }
}

static TEXT: Shape = string(None, None, None);
static NAME: Shape = string(Some(1), Some(8), Some("[a-z-]+"));
static SECRET: Shape =
    Shape::String { min: None, max: Some(4), pattern: None, values: &[], json_value: false, sensitive: true };
static KIND: Shape = Shape::String {
    min: None,
    max: None,
    pattern: None,
    values: &["big", "small"],
    json_value: false,
    sensitive: false,
};
static JSON: Shape =
    Shape::String { min: None, max: None, pattern: None, values: &[], json_value: true, sensitive: false };
static INTEGER: Shape = Shape::Integer { min: None, max: None };
static SIZE: Shape = Shape::Integer { min: Some(1), max: Some(10) };
static LONG: Shape = Shape::Long { min: None, max: None };
static FLOAT: Shape = Shape::Float { min: None, max: None };
static BOOLEAN: Shape = Shape::Boolean;
static BLOB: Shape = Shape::Blob { min: None, max: None, sensitive: false };
static TIME: Shape = Shape::Timestamp { format: None };
static DOCUMENT: Shape = Shape::Document;
static TEXTS: Shape = Shape::List { item: &TEXT, min: None, max: None, item_name: "member", flattened: false };
static FLAT: Shape = Shape::List { item: &TEXT, min: None, max: None, item_name: "member", flattened: true };
static KINDS: Shape = Shape::List { item: &KIND, min: Some(1), max: None, item_name: "member", flattened: false };
static TAG: StructureShape = StructureShape {
    name: "Tag",
    payload: None,
    members: &[required(member("Key", &TAG_KEY)), member("Value", &TAG_VALUE)],
};
static TAG_KEY: Shape = string(Some(1), None, None);
static TAG_VALUE: Shape = string(None, Some(1000), None);
static TAG_SHAPE: Shape = Shape::Structure(&TAG);
static TAGS: Shape = Shape::List { item: &TAG_SHAPE, min: None, max: None, item_name: "member", flattened: false };
static LABELS: Shape = Shape::Map {
    key: &NAME,
    value: &TEXT,
    min: None,
    max: None,
    entry_names: ("key", "value"),
    flattened: false,
    sensitive: false,
};
static NESTED: Shape = Shape::Structure(&NESTED_STRUCTURE);
static NESTED_STRUCTURE: StructureShape =
    StructureShape { name: "Nested", payload: None, members: &[member("Count", &INTEGER), member("Inner", &NESTED)] };

const THING: [MemberShape; 18] = [
    required(member("Name", &NAME)),
    member("Size", &SIZE),
    member("Kind", &KIND),
    member("Kinds", &KINDS),
    member("Tags", &TAGS),
    member("Labels", &LABELS),
    member("Secret", &SECRET),
    member("Nested", &NESTED),
    member("Note", &TEXT),
    member("Large", &LONG),
    member("Ratio", &FLOAT),
    member("Flag", &BOOLEAN),
    member("Data", &BLOB),
    member("At", &TIME),
    member("Free", &DOCUMENT),
    member("Flat", &FLAT),
    member("Mood", &KIND),
    bound("Renamed", "renamedOnTheWire", Location::Body, &TEXTS),
];

/// Both input and output of `PutThing`.
pub static THING_STRUCTURE: StructureShape = StructureShape { name: "Thing", payload: None, members: &THING };

static EMPTY: StructureShape = StructureShape { name: "", payload: None, members: &[] };

static NOT_FOUND: StructureShape = StructureShape {
    name: "ThingNotFoundException",
    payload: None,
    members: &[
        member("Type", &TEXT),
        member("Message", &TEXT),
        member("ThingName", &TEXT),
        bound("retryAfterSeconds", "Retry-After", Location::Header, &TEXT),
    ],
};

const ERRORS: &[ErrorModel] = &[ErrorModel { code: "ThingNotFound", status: 404, shape: &NOT_FOUND }];

/// Everything in the body.
pub static OP_PUT_THING: OperationModel = OperationModel {
    route: OperationRoute { name: "PutThing", method: "POST", uri: "/2020-01-01/things/" },
    status: 201,
    input: &THING_STRUCTURE,
    output: &THING_STRUCTURE,
    result_wrapper: Some("PutThingResult"),
    errors: ERRORS,
    members: &[
        MemberPolicy { member: "Note", treatment: Treatment::Accepted, reason: "nobody reads it" },
        MemberPolicy { member: "Nested.Count", treatment: Treatment::Refused, reason: "it cannot count" },
    ],
    wordings: &[
        Wording {
            member: "Tags.Value",
            constraint: ConstraintKind::Length,
            code: "TagValueException",
            message: "The tag's value is too long: {value}",
        },
        Wording {
            member: "Mood",
            constraint: ConstraintKind::Values,
            code: "MoodException",
            message: "{value} is none of {values}",
        },
    ],
};

/// Query bindings, no output.
pub static OP_LIST_THINGS: OperationModel = OperationModel {
    route: OperationRoute { name: "ListThings", method: "GET", uri: "/2020-01-01/things/" },
    status: 200,
    input: &StructureShape {
        name: "ListThingsRequest",
        payload: None,
        members: &[
            bound("Max", "max", Location::QueryString, &INTEGER),
            bound("Keys", "keys", Location::QueryString, &TEXTS),
            bound("Rest", "", Location::QueryString, &LABELS),
        ],
    },
    output: &EMPTY,
    result_wrapper: None,
    errors: ERRORS,
    members: &[],
    wordings: &[],
};

static CHUNK: StructureShape = StructureShape {
    name: "Chunk",
    payload: None,
    members: &[
        bound("Bytes", "Bytes", Location::EventPayload, &BLOB),
        bound("Number", "Number", Location::EventHeader, &LONG),
        bound("Last", "Last", Location::EventHeader, &BOOLEAN),
    ],
};
static CHUNK_SHAPE: Shape = Shape::Structure(&CHUNK);
static DONE: StructureShape =
    StructureShape { name: "Done", payload: None, members: &[member("Code", &TEXT), member("Secret", &SECRET)] };
static DONE_SHAPE: Shape = Shape::Structure(&DONE);
static EVENTS: Shape = Shape::EventStream(&StructureShape {
    name: "Events",
    payload: None,
    members: &[member("Chunk", &CHUNK_SHAPE), member("Done", &DONE_SHAPE)],
});

/// Events behind the head.
pub static OP_WATCH: OperationModel = OperationModel {
    route: OperationRoute { name: "Watch", method: "POST", uri: "/2020-01-01/watch" },
    status: 200,
    input: &StructureShape { name: "WatchRequest", payload: None, members: &[] },
    output: &StructureShape { name: "WatchResponse", payload: Some("Events"), members: &[member("Events", &EVENTS)] },
    result_wrapper: None,
    errors: &[],
    members: &[],
    wordings: &[],
};

/// A label, headers, a payload and a status.
pub static OP_SEND: OperationModel = OperationModel {
    route: OperationRoute { name: "Send", method: "POST", uri: "/2020-01-01/things/{Thing}/invoke" },
    status: 200,
    input: &StructureShape {
        name: "SendRequest",
        payload: Some("Payload"),
        members: &[
            required(bound("Name", "Thing", Location::Uri, &TEXT)),
            bound("Mode", "X-Mode", Location::Header, &KIND),
            bound("Context", "X-Context", Location::Header, &JSON),
            bound("Meta", "x-meta-", Location::Headers, &LABELS),
            member("Payload", &BLOB),
            bound("Qualifier", "Qualifier", Location::QueryString, &TEXT),
        ],
    },
    output: &StructureShape {
        name: "SendResponse",
        payload: Some("Payload"),
        members: &[
            bound("Status", "Status", Location::StatusCode, &INTEGER),
            bound("Failure", "X-Failure", Location::Header, &TEXT),
            bound("Meta", "x-meta-", Location::Headers, &LABELS),
            bound("When", "X-When", Location::Header, &TIME),
            member("Payload", &BLOB),
        ],
    },
    result_wrapper: None,
    errors: ERRORS,
    members: &[],
    wordings: &[],
};

/// The service.
pub static MODEL: ServiceModel = ServiceModel {
    id: "fixture",
    signing_name: "fixture",
    endpoint_prefix: "fixture",
    target_prefix: Some("Fixture_2020"),
    protocols: &[Protocol::RestJson],
    api_version: "2020-01-01",
    xml_namespace: Some("https://fixture.example.com/doc/2020-01-01/"),
    validation_code: "ValidationException",
    operations: &[&OP_LIST_THINGS, &OP_PUT_THING, &OP_SEND],
    unimplemented: &[
        OperationRoute { name: "GetThing", method: "GET", uri: "/2020-01-01/things/{Thing}" },
        OperationRoute { name: "GetSpecial", method: "GET", uri: "/2020-01-01/things/special" },
        OperationRoute { name: "DoAnything", method: "POST", uri: "/2020-01-01/things/{Thing}/{Verb}" },
        OperationRoute { name: "GetFile", method: "GET", uri: "/2020-01-01/files/{Path+}" },
    ],
};

/// A structure or map.
pub fn map<const N: usize>(members: [(&str, gust_types::Doc); N]) -> gust_types::Doc {
    gust_types::Doc::Map(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// A string.
pub fn text(text: &str) -> gust_types::Doc {
    gust_types::Doc::String(text.to_owned())
}

/// A list of strings.
pub fn texts<const N: usize>(items: [&str; N]) -> gust_types::Doc {
    gust_types::Doc::List(items.map(text).into())
}

/// A response the way it stands on the wire, for comparison: status, headers, body.
pub fn shown(response: &crate::WireResponse) -> String {
    let headers: String = response.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    format!("{}\n{headers}\n{}", response.status, String::from_utf8_lossy(&response.body))
}
