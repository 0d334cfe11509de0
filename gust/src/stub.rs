//! temporary
use gust_kit::ports::*;
pub struct Stub;
#[async_trait::async_trait]
impl CredentialSource for Stub {
    async fn owner(&self, _: &str) -> Result<Option<KeyOwner>, CredentialError> { Ok(None) }
    async fn session(&self, _: RoleSession) -> Result<Credentials, CredentialError> {
        Ok(Credentials { access_key_id: "ASIAX".into(), secret_access_key: "x".into(), session_token: Some("t".into()), expires_at_ms: None })
    }
}
