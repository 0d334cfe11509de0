//! The shape of an AWS interface as static data: what `api.json` says, after the build script.
//!
//! Codecs and validators interpret these tables; nothing here knows a particular service.

/// A wire protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// JSON body, operation in `X-Amz-Target`, `application/x-amz-json-1.0`.
    AwsJson10,
    /// The same with `application/x-amz-json-1.1`.
    AwsJson11,
    /// Method and path name the operation, JSON body.
    RestJson,
    /// Method and path name the operation, XML body.
    RestXml,
    /// Form-encoded request with `Action`, XML response.
    Query,
}

/// One service's interface.
#[derive(Debug)]
pub struct ServiceModel {
    /// The AWS CLI's name of the service, for example `lambda`; also the crate's folder.
    pub id: &'static str,
    /// The service's name in a SigV4 credential scope.
    pub signing_name: &'static str,
    /// The prefix of IAM actions and of ARNs, for example `lambda`.
    pub endpoint_prefix: &'static str,
    /// The prefix before the dot in `X-Amz-Target`, where the protocol has one.
    pub target_prefix: Option<&'static str>,
    /// The protocols that clients may use, preferred first.
    pub protocols: &'static [Protocol],
    /// The API version, for example `2015-03-31`.
    pub api_version: &'static str,
    /// The XML namespace of responses (query and restXml).
    pub xml_namespace: Option<&'static str>,
    /// The error code of a request that breaks a constraint of the model, for example `ValidationException`.
    pub validation_code: &'static str,
    /// The operations that gust implements.
    pub operations: &'static [&'static OperationModel],
    /// The operations that AWS has and gust has not: routed, so that they answer 501 by name.
    pub unimplemented: &'static [OperationRoute],
}

/// How a request names an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperationRoute {
    /// The operation's name, for example `CreateFunction`.
    pub name: &'static str,
    /// The HTTP method.
    pub method: &'static str,
    /// The path template, for example `/2015-03-31/functions/{FunctionName}`.
    pub uri: &'static str,
}

/// One operation.
#[derive(Debug)]
pub struct OperationModel {
    /// Name, method and path.
    pub route: OperationRoute,
    /// The HTTP status of success.
    pub status: u16,
    /// The input structure.
    pub input: &'static StructureShape,
    /// The output structure.
    pub output: &'static StructureShape,
    /// The element that wraps a query response's members (`CreateRoleResult`).
    pub result_wrapper: Option<&'static str>,
    /// The errors that the model names for it.
    pub errors: &'static [ErrorModel],
    /// What becomes of input members that have no effect; a member not named here is honoured.
    pub members: &'static [MemberPolicy],
    /// Broken constraints that this operation reports in words of its own.
    pub wordings: &'static [Wording],
}

/// One error shape.
#[derive(Debug, Clone, Copy)]
pub struct ErrorModel {
    /// The wire code.
    pub code: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// The error's members, for bindings to headers and for member names.
    pub shape: &'static StructureShape,
}

/// What becomes of an input member that gust does not act upon.
#[derive(Debug, Clone, Copy)]
pub struct MemberPolicy {
    /// The path of the member, for example `VpcConfig` or `LoggingConfig.SystemLogLevel`.
    pub member: &'static str,
    /// Accepted with a warning, or refused.
    pub treatment: Treatment,
    /// Why, in a sentence; shown in COVERAGE.md, in the warning and in the refusal.
    pub reason: &'static str,
}

/// See [`MemberPolicy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// Stored and echoed where AWS echoes it, without effect; a warning names it.
    Accepted,
    /// The request is refused by name.
    Refused,
}

/// How an operation reports a broken constraint of one member, where it does not use the common words.
#[derive(Debug, Clone, Copy)]
pub struct Wording {
    /// The path of the member, for example `Runtime` or `Tags.Key`.
    pub member: &'static str,
    /// Which of its constraints.
    pub constraint: ConstraintKind,
    /// The error code.
    pub code: &'static str,
    /// The message; `{value}` stands for the value, `{values}` for the permitted ones.
    pub message: &'static str,
}

/// The constraints that can have a [`Wording`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConstraintKind {
    /// The member is required.
    Required,
    /// Length, count or size.
    Length,
    /// The value of a number.
    Range,
    /// The regular expression.
    Pattern,
    /// The permitted values.
    Values,
    /// The constraints of a list's items or a map's keys and values.
    Items,
}

/// A structure.
#[derive(Debug)]
pub struct StructureShape {
    /// The model's name of the shape; empty where an operation has no input or no output at all, which
    /// some protocols render differently from an empty structure.
    pub name: &'static str,
    /// Its members in the model's order.
    pub members: &'static [MemberShape],
    /// The member that is the whole body, if one is.
    pub payload: Option<&'static str>,
}

/// A member of a structure.
#[derive(Debug)]
pub struct MemberShape {
    /// The member's name (the key in a [`gust_types::Doc::Map`]).
    pub name: &'static str,
    /// Its name on the wire (JSON key, XML element, header, query key or path label).
    pub wire_name: &'static str,
    /// Where it travels.
    pub location: Location,
    /// Whether the model requires it.
    pub required: bool,
    /// Its shape.
    pub shape: &'static Shape,
}

/// Where a member travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Location {
    /// In the body.
    Body,
    /// As a label of the path.
    Uri,
    /// As a key of the query (a map: every key not bound otherwise).
    QueryString,
    /// As a header.
    Header,
    /// As all headers with this prefix (a map).
    Headers,
    /// As the HTTP status of the response.
    StatusCode,
    /// As a header of an event.
    EventHeader,
    /// As the whole payload of an event.
    EventPayload,
}

/// A shape with its constraints. Bounds are inclusive; `None` means unbounded.
#[derive(Debug)]
pub enum Shape {
    /// A structure.
    Structure(&'static StructureShape),
    /// A list.
    List {
        /// The items' shape.
        item: &'static Shape,
        /// Least count.
        min: Option<u64>,
        /// Greatest count.
        max: Option<u64>,
        /// The element name of an item (query, XML); `member` by default.
        item_name: &'static str,
        /// Whether items stand directly in the parent.
        flattened: bool,
    },
    /// A map with string keys.
    Map {
        /// The keys' shape (a string with constraints).
        key: &'static Shape,
        /// The values' shape.
        value: &'static Shape,
        /// Least count.
        min: Option<u64>,
        /// Greatest count.
        max: Option<u64>,
        /// The element names of key and value (query, XML).
        entry_names: (&'static str, &'static str),
        /// Whether entries stand directly in the parent.
        flattened: bool,
        /// Whether messages must not repeat the value.
        sensitive: bool,
    },
    /// A string, perhaps an enum.
    String {
        /// Least length in characters.
        min: Option<u64>,
        /// Greatest length in characters.
        max: Option<u64>,
        /// A regular expression the whole text must match.
        pattern: Option<&'static str>,
        /// The permitted values; empty for a plain string.
        values: &'static [&'static str],
        /// A JSON document inside a header, base64-encoded there (`jsonvalue`).
        json_value: bool,
        /// Whether messages must not repeat the value.
        sensitive: bool,
    },
    /// A 32-bit integer.
    Integer {
        /// Least value.
        min: Option<i64>,
        /// Greatest value.
        max: Option<i64>,
    },
    /// A 64-bit integer.
    Long {
        /// Least value.
        min: Option<i64>,
        /// Greatest value.
        max: Option<i64>,
    },
    /// Float or double.
    Float {
        /// Least value.
        min: Option<f64>,
        /// Greatest value.
        max: Option<f64>,
    },
    /// A boolean.
    Boolean,
    /// Bytes.
    Blob {
        /// Least size in bytes.
        min: Option<u64>,
        /// Greatest size in bytes.
        max: Option<u64>,
        /// Whether messages must not repeat the value.
        sensitive: bool,
    },
    /// A timestamp.
    Timestamp {
        /// The format, if the model overrides the protocol's default.
        format: Option<TimestampFormat>,
    },
    /// A free-form document.
    Document,
    /// Events that follow the response's head: the members are the kinds of event, each a structure.
    EventStream(&'static StructureShape),
}

/// How a timestamp is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampFormat {
    /// `2015-01-01T00:00:00Z`
    Iso8601,
    /// `Wed, 01 Jan 2015 00:00:00 GMT`
    HttpDate,
    /// Seconds since the epoch, with a fraction where there is one.
    EpochSeconds,
}

impl ServiceModel {
    /// The implemented operation called `name`.
    pub fn operation(&self, name: &str) -> Option<&'static OperationModel> {
        self.operations.iter().copied().find(|operation| operation.route.name == name)
    }
}

impl StructureShape {
    /// The member that travels in the body as `wire_name`.
    pub fn body_member(&self, wire_name: &str) -> Option<&'static MemberShape> {
        self.members.iter().find(|member| member.wire_name == wire_name && member.location == Location::Body)
    }

    /// The member called `name`.
    pub fn member(&self, name: &str) -> Option<&'static MemberShape> {
        self.members.iter().find(|member| member.name == name)
    }
}
