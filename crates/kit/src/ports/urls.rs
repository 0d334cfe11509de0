//! Function URLs: which function answers at a host name.

use async_trait::async_trait;
use gust_types::{AccountId, AwsError, Region};

/// A function URL, as far as those need it who serve it.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionUrl {
    /// The first label of its host name: 32 lower-case letters and digits.
    pub url_id: String,
    /// The owner of the function.
    pub account: AccountId,
    /// The function's region.
    pub region: Region,
    /// The function's name, without qualifier.
    pub function: String,
    /// The alias that it belongs to; `None` stands for `$LATEST`.
    pub qualifier: Option<String>,
    /// Who may call it.
    pub auth: UrlAuth,
    /// Whether the response is passed on while the function still writes it.
    pub invoke_mode: UrlInvokeMode,
    /// What pages of other sites may do; `None` if nothing was configured.
    pub cors: Option<UrlCors>,
    /// The policy of the function (or of the alias), as JSON; `None` if it has none.
    pub resource_policy: Option<String>,
}

impl FunctionUrl {
    /// The ARN that it invokes, with the alias if it belongs to one.
    pub fn function_arn(&self) -> String {
        let arn = format!("arn:aws:lambda:{}:{}:function:{}", self.region, self.account, self.function);
        self.qualifier.as_ref().map_or_else(|| arn.clone(), |qualifier| format!("{arn}:{qualifier}"))
    }
}

/// AuthType of a function URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlAuth {
    /// `NONE`: everybody whom the function's policy lets in.
    None,
    /// `AWS_IAM`: callers that sign and are allowed to.
    AwsIam,
}

/// InvokeMode of a function URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlInvokeMode {
    /// `BUFFERED`
    Buffered,
    /// `RESPONSE_STREAM`
    ResponseStream,
}

/// Cors of a function URL. An empty list or `None` is a member that was not given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UrlCors {
    /// Whether cookies and other credentials may be sent.
    pub allow_credentials: bool,
    /// Request headers.
    pub allow_headers: Vec<String>,
    /// Methods, or `*`.
    pub allow_methods: Vec<String>,
    /// Origins, or `*`.
    pub allow_origins: Vec<String>,
    /// Response headers that a page may read.
    pub expose_headers: Vec<String>,
    /// How long a browser may keep a preflight's answer, in seconds.
    pub max_age_s: Option<u32>,
}

/// Finds function URLs. Implemented by the lambda service.
#[async_trait]
pub trait UrlDirectory: Send + Sync + 'static {
    /// The URL with this id; `None` if there is none. Looked up on every request: it must not be slow.
    async fn url(&self, url_id: &str) -> Result<Option<FunctionUrl>, AwsError>;
}
