//! Packages on disk: the zip as a blob, its unpacked form as a folder named after the zip's SHA-256.
//!
//! Equal zips share both. A package stays as long as a function refers to it, a request that is about to
//! refer to it holds it, or an environment may still read it; [`crate::lifecycle`] decides, this file keeps
//! the holds and does the work. Whether a folder exists is the whole truth about a package being unpacked: it
//! is filled under another name, synced, and renamed into place.

mod layers;

use crate::error::{LambdaError, ParameterError};
use crate::limits;
use crate::model::Package;
use crate::package::{Target, UnpackError, unpack};
use crate::task::to_the_end;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use gust_blob::{BlobError, Blobs};
use gust_kit::CommonError;
use gust_store::StoreError;
use gust_types::SharedIds;
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, Semaphore};

/// What the names of folders begin with that are being filled or emptied, or belong to somebody who develops a function.
/// They do not outlive a gust.
pub const UNFINISHED_PREFIX: &str = ".unfinished-";
/// Where packages lie in the blob store.
const BLOB_FOLDER: &str = "lambda/code/";

/// Whether unpacked packages have to outlive a loss of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Synced before they are used.
    Synced,
    /// Left to the operating system (`--ephemeral`, tests).
    Ephemeral,
}

/// All packages of one gust.
pub struct CodeStore {
    blobs: Blobs,
    root: PathBuf,
    durability: Durability,
    ids: SharedIds,
    places: Arc<Semaphore>,
    holds: Mutex<Holds>,
    removed: Notify,
    named: Notify,
}

#[derive(Default)]
struct Holds {
    counts: HashMap<String, usize>,
    removing: HashSet<String>,
    /// Packages that may no longer be needed.
    candidates: BTreeSet<String>,
}

impl CodeStore {
    /// The packages whose zips are in `blobs` and whose unpacked forms are in the folder `root`, which is made
    /// if it is missing. What a crash left unfinished there is removed. Blocks.
    pub fn open(blobs: Blobs, root: PathBuf, durability: Durability, ids: SharedIds) -> io::Result<CodeStore> {
        std::fs::create_dir_all(&root)?;
        // Functions run as other users, and all of them have to reach their code.
        std::fs::set_permissions(&root, std::fs::Permissions::from_mode(0o755))?;
        for entry in std::fs::read_dir(&root)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED_PREFIX) {
                std::fs::remove_dir_all(entry.path())?;
            }
        }
        let places = Arc::new(Semaphore::new(limits::UNPACKING_MAX));
        let (holds, removed, named) = (Mutex::default(), Notify::new(), Notify::new());
        Ok(CodeStore { blobs, root, durability, ids, places, holds, removed, named })
    }

    /// The folder that holds the unpacked packages.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the package with this SHA-256 (hexadecimal).
    pub fn folder(&self, sha256: &str) -> PathBuf {
        self.root.join(sha256)
    }

    /// Unpacks `zip` and stores it; on return both are on disk. The result holds the package: it stays
    /// until the hold is dropped, whoever else lets go of it.
    ///
    /// Errors: the zip is at fault ([`ParameterError`]), or the machine is.
    pub async fn stage(self: &Arc<Self>, zip: Bytes) -> Result<(Package, Hold), LambdaError> {
        let code = self.clone();
        to_the_end(async move { code.stage_held(zip).await }).await
    }

    async fn stage_held(self: &Arc<Self>, zip: Bytes) -> Result<(Package, Hold), LambdaError> {
        let digest = {
            let zip = zip.clone();
            self.blocking(move || Ok(sha256_of(&zip))).await?
        };
        let hold = self.hold(digest.clone()).await;
        let unzipped_bytes = self.ensure_folder(&digest, zip.clone()).await?;
        let zip_bytes = zip.len() as u64;
        // After the folder: what a crash leaves is found by its folder.
        let key = blob_key(&digest);
        if !self.blobs.exists(&key).await.map_err(internal_blob)? {
            self.blobs.put_named(&key, zip).await.map_err(internal_blob)?;
        }
        Ok((Package { sha256: digest, zip_bytes, unzipped_bytes }, hold))
    }

    /// What [`CodeStore::stage`] would make of `zip`, without storing anything.
    pub async fn inspect(&self, zip: Bytes) -> Result<Package, LambdaError> {
        self.blocking(move || {
            let unzipped_bytes = unpack(&zip, Target::Nowhere)?;
            Ok(Package { sha256: sha256_of(&zip), zip_bytes: zip.len() as u64, unzipped_bytes })
        })
        .await
    }

    /// Unpacks a stored package again if its folder is gone.
    ///
    /// Errors: the zip is gone too, or no longer what it was.
    pub async fn restore(&self, package: &Package) -> Result<(), LambdaError> {
        if self.is_unpacked(&package.sha256).await? {
            return Ok(());
        }
        let zip = self.blobs.get(blob_key(&package.sha256)).await.map_err(internal_blob)?;
        self.ensure_folder(&package.sha256, zip).await.map(|_| ())
    }

    /// The zip with this SHA-256 (hexadecimal); `None` if there is none.
    pub async fn zip(&self, sha256: &str) -> Result<Option<Bytes>, LambdaError> {
        match self.blobs.get(blob_key(sha256)).await {
            Ok(zip) => Ok(Some(zip)),
            Err(BlobError::NotFound { .. } | BlobError::InvalidKey { .. }) => Ok(None),
            Err(error) => Err(internal_blob(error)),
        }
    }

    /// The SHA-256 of every package that is on disk, in whole or in part.
    pub async fn stored(&self) -> Result<BTreeSet<String>, LambdaError> {
        let root = self.root.clone();
        let read = self.blocking(move || {
            let names = std::fs::read_dir(&root)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
            Ok(names.collect::<io::Result<BTreeSet<String>>>()?)
        });
        let mut stored = read.await?;
        stored.retain(|name| is_sha256(name));
        let mut after = None;
        loop {
            let page = self
                .blobs
                .list(BLOB_FOLDER, after.as_deref(), gust_blob::LIST_KEYS_MAX)
                .await
                .map_err(internal_blob)?;
            let Some(last) = page.last() else { return Ok(stored) };
            after = Some(last.key.clone());
            let names = page.iter().filter_map(|blob| blob.key.strip_prefix(BLOB_FOLDER));
            stored.extend(names.filter(|name| is_sha256(name)).map(str::to_owned));
        }
    }

    async fn is_unpacked(&self, sha256: &str) -> Result<bool, LambdaError> {
        let folder = self.folder(sha256);
        // One look at a folder is not worth a place.
        tokio::fs::try_exists(folder).await.map_err(|error| internal(error.to_string()))
    }

    /// Makes the folder from the zip unless it is there; returns the size of its files.
    async fn ensure_folder(&self, sha256: &str, zip: Bytes) -> Result<u64, LambdaError> {
        let (root, folder, durability) = (self.root.clone(), self.folder(sha256), self.durability);
        let unfinished = root.join(format!("{UNFINISHED_PREFIX}{}", self.ids.hex(16)));
        self.blocking(move || {
            if folder.is_dir() {
                return unpack(&zip, Target::Nowhere);
            }
            let outcome = fill(&zip, &root, &unfinished, &folder, durability);
            if outcome.is_err() {
                // What remains of it is removed at the next start if not now.
                let _ = std::fs::remove_dir_all(&unfinished);
            }
            outcome
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, UnpackError> + Send + 'static,
    ) -> Result<T, LambdaError> {
        let place = self.places.clone().acquire_owned().await.map_err(|error| internal(error.to_string()))?;
        let run = move || {
            let outcome = work();
            drop(place);
            outcome
        };
        match tokio::task::spawn_blocking(run).await {
            Ok(outcome) => outcome.map_err(|error| match error {
                UnpackError::Refused(error) => error.into(),
                UnpackError::Io(error) if error.kind() == io::ErrorKind::StorageFull => {
                    StoreError::DiskFull { free_bytes: 0 }.into()
                }
                UnpackError::Io(_) => internal(error.to_string()),
            }),
            Err(error) => Err(internal(format!("work on a package was aborted: {error}"))),
        }
    }
}

/// Holds, and the removal that respects them.
impl CodeStore {
    fn holds(&self) -> MutexGuard<'_, Holds> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the package from being removed; waits if it is just being removed.
    async fn hold(self: &Arc<Self>, sha256: String) -> Hold {
        loop {
            let removed = self.removed.notified();
            tokio::pin!(removed);
            removed.as_mut().enable();
            {
                let mut holds = self.holds();
                if !holds.removing.contains(&sha256) {
                    *holds.counts.entry(sha256.clone()).or_default() += 1;
                    return Hold { code: self.clone(), sha256 };
                }
            }
            removed.await;
        }
    }

    /// Names a package that may no longer be needed.
    pub fn name_candidate(&self, sha256: &str) {
        self.holds().candidates.insert(sha256.to_owned());
        self.named.notify_one();
    }

    /// The packages that were named and not looked at since.
    pub fn candidates(&self) -> Vec<String> {
        self.holds().candidates.iter().cloned().collect()
    }

    /// Puts a package that was struck off back, for the next look; wakes nobody.
    pub fn keep_candidate(&self, sha256: &str) {
        self.holds().candidates.insert(sha256.to_owned());
    }

    /// Strikes a package off: it is looked at.
    pub fn forget_candidate(&self, sha256: &str) {
        self.holds().candidates.remove(sha256);
    }

    /// Returns when a package has been named since the last return.
    pub async fn candidate_named(&self) {
        self.named.notified().await;
    }

    /// Claims the package for removal; `None` while somebody holds or removes it. Until the claim is dropped
    /// nobody can stage an equal package.
    pub fn claim_removal(self: &Arc<Self>, sha256: &str) -> Option<Removal> {
        let mut holds = self.holds();
        let free = !holds.counts.contains_key(sha256) && holds.removing.insert(sha256.to_owned());
        free.then(|| Removal { code: self.clone(), sha256: sha256.to_owned() })
    }
}

/// Keeps a package on disk. Once the last hold is dropped, somebody has to look whether anything refers to it.
pub struct Hold {
    code: Arc<CodeStore>,
    sha256: String,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut holds = self.code.holds();
        let Some(count) = holds.counts.get_mut(&self.sha256) else { return };
        *count -= 1;
        if *count == 0 {
            holds.counts.remove(&self.sha256);
            drop(holds);
            self.code.name_candidate(&self.sha256);
        }
    }
}

/// The right to remove a package.
pub struct Removal {
    code: Arc<CodeStore>,
    sha256: String,
}

impl Removal {
    /// Removes zip and folder.
    pub async fn carry_out(self) -> Result<(), LambdaError> {
        // The folder goes last: as long as it is there, the next start finds the package.
        self.code.blobs.delete(blob_key(&self.sha256)).await.map_err(internal_blob)?;
        let folder = self.code.folder(&self.sha256);
        let unfinished = self.code.root.join(format!("{UNFINISHED_PREFIX}{}", self.code.ids.hex(16)));
        let removed = self.code.blocking(move || match std::fs::rename(&folder, &unfinished) {
            Ok(()) => Ok(std::fs::remove_dir_all(&unfinished)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error.into()),
        });
        removed.await
    }
}

impl Drop for Removal {
    fn drop(&mut self) {
        self.code.holds().removing.remove(&self.sha256);
        self.code.removed.notify_waiters();
    }
}

fn blob_key(sha256: &str) -> String {
    format!("{BLOB_FOLDER}{sha256}")
}

fn is_sha256(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn sha256_of(zip: &[u8]) -> String {
    Sha256::digest(zip).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A SHA-256 as Lambda shows it in CodeSha256: base64 of its bytes.
pub fn base64_of_hex(sha256: &str) -> String {
    let bytes = (0..sha256.len() / 2).filter_map(|at| u8::from_str_radix(sha256.get(2 * at..2 * at + 2)?, 16).ok());
    STANDARD.encode(bytes.collect::<Vec<u8>>())
}

/// Checks the size of a zip that comes with a request.
pub fn check_zip_size(zip: &Bytes, operation: &'static str) -> Result<(), LambdaError> {
    match zip.len() {
        0 => Err(ParameterError::EmptyZip.into()),
        bytes if bytes > limits::ZIP_BYTES_MAX => Err(LambdaError::ZipTooLarge { operation }),
        _ => Ok(()),
    }
}

fn fill(zip: &[u8], root: &Path, unfinished: &Path, folder: &Path, durability: Durability) -> Result<u64, UnpackError> {
    std::fs::create_dir(unfinished)?;
    let unzipped_bytes = unpack(zip, Target::Folder(unfinished))?;
    complete(root, unfinished, folder, durability)?;
    Ok(unzipped_bytes)
}

/// Puts a folder that has been filled into its place.
fn complete(root: &Path, unfinished: &Path, folder: &Path, durability: Durability) -> io::Result<()> {
    if durability == Durability::Synced {
        // One call for thousands of files; a sync of each would take seconds.
        rustix::fs::syncfs(File::open(unfinished)?).map_err(io::Error::from)?;
    }
    match std::fs::rename(unfinished, folder) {
        Ok(()) => {}
        // An equal package was faster.
        Err(_) if folder.is_dir() => std::fs::remove_dir_all(unfinished)?,
        Err(error) => return Err(error),
    }
    if durability == Durability::Synced {
        File::open(root)?.sync_all()?;
    }
    Ok(())
}

fn internal_blob(error: BlobError) -> LambdaError {
    match error {
        BlobError::DiskFull { free_bytes } => StoreError::DiskFull { free_bytes }.into(),
        other => internal(other.to_string()),
    }
}

fn internal(cause: String) -> LambdaError {
    CommonError::Internal(cause).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Piece, zip_of};
    use gust_types::SeededIds;

    fn store() -> (tempfile::TempDir, Arc<CodeStore>) {
        let folder = tempfile::tempdir().unwrap();
        let ids = Arc::new(SeededIds::new(1));
        let code = CodeStore::open(Blobs::temporary().unwrap(), folder.path().join("code"), Durability::Synced, ids);
        (folder, Arc::new(code.unwrap()))
    }

    fn zip() -> Bytes {
        zip_of(&[Piece::File("app.py", 0o644, b"x = 1\n")])
    }

    fn names(code: &CodeStore) -> Vec<String> {
        let mut names: Vec<_> =
            std::fs::read_dir(&code.root).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn a_staged_package_is_there_in_both_forms() {
        let (_folder, code) = store();
        let (package, _hold) = code.stage(zip()).await.unwrap();
        assert_eq!((package.zip_bytes, package.unzipped_bytes), (zip().len() as u64, 6));
        assert_eq!(std::fs::read(code.folder(&package.sha256).join("app.py")).unwrap(), b"x = 1\n");
        assert_eq!(code.zip(&package.sha256).await.unwrap().unwrap(), zip());
        assert_eq!(names(&code), std::slice::from_ref(&package.sha256));
        assert_eq!(code.stored().await.unwrap(), BTreeSet::from([package.sha256.clone()]));
        assert_eq!(code.inspect(zip()).await.unwrap(), package);
    }

    #[tokio::test]
    async fn a_refused_zip_leaves_nothing() {
        let (_folder, code) = store();
        let bad = zip_of(&[Piece::File("fine", 0o644, b"x"), Piece::File("../bad", 0o644, b"x")]);
        assert!(code.stage(bad).await.is_err());
        let bad_link = zip_of(&[Piece::File("fine", 0o644, b"x"), Piece::Link("bad", "/etc")]);
        assert!(code.stage(bad_link).await.is_err());
        assert!(names(&code).is_empty() && code.stored().await.unwrap().is_empty());
        assert!(code.holds().counts.is_empty());
    }

    #[tokio::test]
    async fn equal_packages_staged_at_once_are_one() {
        let (_folder, code) = store();
        let staged = futures_util::future::join_all((0..8).map(|_| code.stage(zip()))).await;
        let packages: BTreeSet<_> =
            staged.iter().map(|it| it.as_ref().map(|(package, _)| package.sha256.clone()).unwrap()).collect();
        assert_eq!(names(&code), packages.into_iter().collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_lost_folder_is_restored_and_a_lost_zip_is_an_error() {
        let (_folder, code) = store();
        let (package, _hold) = code.stage(zip()).await.unwrap();
        std::fs::remove_dir_all(code.folder(&package.sha256)).unwrap();
        code.restore(&package).await.unwrap();
        assert!(code.folder(&package.sha256).join("app.py").exists());
        let lost = Package { sha256: "0".repeat(64), ..package };
        assert!(code.restore(&lost).await.is_err());
    }

    #[tokio::test]
    async fn what_is_held_cannot_be_removed() {
        let (_folder, code) = store();
        let (package, hold) = code.stage(zip()).await.unwrap();
        assert!(code.claim_removal(&package.sha256).is_none());
        drop(hold);
        let removal = code.claim_removal(&package.sha256).unwrap();
        assert!(code.claim_removal(&package.sha256).is_none(), "one claim at a time");

        let again = tokio::spawn({
            let code = code.clone();
            async move { code.stage(zip()).await.map(|(package, _)| package) }
        });
        removal.carry_out().await.unwrap();
        let staged = again.await.unwrap().unwrap();
        assert!(code.folder(&staged.sha256).join("app.py").exists(), "staging waits for the removal");
        assert!(code.zip(&staged.sha256).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn what_a_crash_left_unfinished_is_removed_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join(".unfinished-1/x")).unwrap();
        let ids = Arc::new(SeededIds::new(1));
        let code =
            CodeStore::open(Blobs::temporary().unwrap(), folder.path().to_owned(), Durability::Ephemeral, ids).unwrap();
        assert!(names(&code).is_empty());
    }

    #[test]
    fn sums_are_shown_in_base64() {
        assert_eq!(base64_of_hex(&sha256_of(b"")), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }

    #[test]
    fn uploads_are_bounded() {
        assert!(check_zip_size(&Bytes::from(vec![0; limits::ZIP_BYTES_MAX]), "CreateFunction").is_ok());
        let error = check_zip_size(&Bytes::from(vec![0; limits::ZIP_BYTES_MAX + 1]), "UpdateFunctionCode").unwrap_err();
        assert_eq!(
            error.to_string(),
            "Request must be smaller than 70167211 bytes for the UpdateFunctionCode operation"
        );
        let error = check_zip_size(&Bytes::new(), "CreateFunction").unwrap_err();
        assert_eq!(error.to_string(), "Uploaded file must be a non-empty zip");
    }
}
