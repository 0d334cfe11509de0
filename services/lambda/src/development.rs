//! Functions under development: a folder of somebody's own runs in place of the package, until they are done.
//!
//! Nothing of it is stored: the function shown by the API is what was deployed, and a restart runs that again.

use crate::Lambda;
use crate::error::LambdaError;
use crate::model::{FunctionId, LATEST};
use gust_kit::ports::{Development, FunctionSpec};
use gust_types::{AccountId, Region};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What runs in place of a function's package.
#[derive(Debug, Clone)]
pub struct Substitute {
    /// The code, readable by everybody; it must not change any more.
    pub folder: PathBuf,
    /// Variables that are added to the function's own.
    pub environment: BTreeMap<String, String>,
    /// How it is run.
    pub development: Development,
}

/// The time limit of a function that is being debugged, in milliseconds: four hours, which the credentials of its role
/// outlast.
const DEBUG_TIMEOUT_MS: u64 = 14_400_000;

impl Substitute {
    /// Changes a spec made of the stored function. The folder's name tells one change from the other.
    pub(crate) fn apply(&self, spec: &mut FunctionSpec) {
        let name = self.folder.file_name().unwrap_or_default().to_string_lossy();
        spec.revision_id = format!("{}+{name}", spec.revision_id);
        spec.code_dir.clone_from(&self.folder);
        spec.environment.extend(self.environment.clone());
        if self.development.debug_port.is_some() {
            spec.timeout_ms = DEBUG_TIMEOUT_MS;
        }
        spec.development = Some(self.development.clone());
    }
}

impl Lambda {
    /// Runs `substitute` in place of the function's package from now on; `None` takes it back. Returns what runs.
    /// Requests that are being run finish with what they began with.
    ///
    /// Errors: the function does not exist, or is not Active.
    pub async fn develop(
        &self,
        account: &AccountId,
        region: &Region,
        name: &str,
        substitute: Option<Substitute>,
    ) -> Result<Arc<FunctionSpec>, LambdaError> {
        let id = FunctionId { account: account.clone(), region: region.clone(), name: name.into() };
        self.catalog.substitute(&id, substitute);
        match self.catalog.find(&id, None).await {
            Ok(spec) => {
                self.invoker.retire(account, region, name, LATEST, Some(&spec.revision_id));
                Ok(spec)
            }
            Err(error) => {
                self.catalog.substitute(&id, None);
                Err(error)
            }
        }
    }

    /// The folder of the unpacked packages, in which code under development must lie, too.
    pub fn code_root(&self) -> &Path {
        self.catalog.code().root()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Bed, Retired, function_id};
    use gust_kit::ports::Hold;

    fn substitute(folder: &str, debug_port: Option<u16>) -> Substitute {
        Substitute {
            folder: folder.into(),
            environment: BTreeMap::from([("ADDED".to_owned(), "1".to_owned())]),
            development: Development { debug_port, hold: Hold::new(()) },
        }
    }

    #[tokio::test]
    async fn a_substitute_runs_until_it_is_taken_back() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let id = function_id("a");
        let deployed = bed.lambda.catalog().find(&id, None).await.unwrap();
        let develop = |substitute| bed.lambda.develop(&id.account, &id.region, "a", substitute);
        let first = develop(Some(substitute("/dev/1", None))).await.unwrap();
        assert_eq!((first.code_dir.to_str(), first.environment["ADDED"].as_str()), (Some("/dev/1"), "1"));
        assert_eq!((first.timeout_ms, first.debug_port()), (deployed.timeout_ms, None));
        let second = develop(Some(substitute("/dev/2", Some(5678)))).await.unwrap();
        assert_ne!(first.revision_id, second.revision_id);
        assert_eq!((second.timeout_ms, second.debug_port()), (DEBUG_TIMEOUT_MS, Some(5678)));
        assert!(Arc::ptr_eq(&second, &bed.lambda.catalog().find(&id, None).await.unwrap()));
        let kept = |spec: &FunctionSpec| Retired { function: "a".into(), keep: Some(spec.revision_id.clone()) };
        assert_eq!(bed.invoker.retired(), [kept(&first), kept(&second)]);
        assert_eq!(*develop(None).await.unwrap(), *deployed);
    }

    #[tokio::test]
    async fn what_is_held_goes_with_the_last_spec() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let id = function_id("a");
        let held = Arc::new(());
        let mut with_hold = substitute("/dev/1", None);
        with_hold.development.hold = Hold::new(held.clone());
        let spec = bed.lambda.develop(&id.account, &id.region, "a", Some(with_hold)).await.unwrap();
        bed.lambda.develop(&id.account, &id.region, "a", None).await.unwrap();
        assert_eq!(Arc::strong_count(&held), 2, "an environment may still run");
        drop(spec);
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[tokio::test]
    async fn a_missing_function_cannot_be_developed() {
        let bed = Bed::new().await;
        let id = function_id("a");
        let refused = bed.lambda.develop(&id.account, &id.region, "a", Some(substitute("/dev/1", None))).await;
        assert!(matches!(refused, Err(LambdaError::FunctionNotFound { .. })), "{refused:?}");
        bed.create_active("a").await;
        assert_eq!(bed.lambda.catalog().find(&id, None).await.unwrap().development, None);
    }
}
