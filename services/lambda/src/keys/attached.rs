//! Keys of layers and of what is attached to functions: policies, URLs, settings. Tables 0x0110 to 0x011f.

use super::Record;
use crate::attached::{
    EventConfigRecord, PolicyRecord, ProvisionedRecord, RecursionRecord, RuntimeRecord, UrlOwner, UrlRecord,
};
use crate::layer::{LayerId, LayerRecord, LayerVersionRecord};
use crate::model::{FunctionId, LATEST, Qualifier};
use gust_store::{Key, Table};
use gust_types::{AccountId, Region};

/// account / region / name -> [`LayerRecord`]; stays when all versions are deleted.
const LAYERS: Table = Table(0x0110);
/// account / region / name / number -> [`LayerVersionRecord`].
const LAYER_VERSIONS: Table = Table(0x0111);
/// account / region / function / qualifier -> [`PolicyRecord`].
const POLICIES: Table = Table(0x0112);
/// account / region / function / qualifier -> [`UrlRecord`].
const URLS: Table = Table(0x0113);
/// the id of a URL -> [`UrlOwner`].
const URL_IDS: Table = Table(0x0114);
/// account / region / function / qualifier -> [`EventConfigRecord`].
const EVENT_CONFIGS: Table = Table(0x0115);
/// account / region / function / qualifier -> [`RuntimeRecord`].
const RUNTIME_CONFIGS: Table = Table(0x0116);
/// account / region / function -> [`RecursionRecord`].
const RECURSION: Table = Table(0x0117);
/// account / region / function / qualifier -> [`ProvisionedRecord`].
const PROVISIONED: Table = Table(0x0118);

/// Where a layer is stored.
pub fn layer(id: &LayerId) -> Key {
    layers_of(&id.account, &id.region).text(&id.name)
}

/// The prefix of all layers of an account in a region, in the order of their names.
pub fn layers_of(account: &AccountId, region: &Region) -> Key {
    LAYERS.key().text(account.as_str()).text(region.as_str())
}

/// The name of the layer that a key of [`layer`] belongs to.
pub fn layer_name(key: &Key) -> Option<String> {
    let mut parts = key.parts();
    parts.text()?;
    parts.text()?;
    parts.text()
}

/// Where a version of a layer is stored.
pub fn layer_version(id: &LayerId, version: u64) -> Key {
    layer_versions_of(id).number(version)
}

/// The prefix of all versions of a layer, in the order of their numbers.
pub fn layer_versions_of(id: &LayerId) -> Key {
    LAYER_VERSIONS.key().text(id.account.as_str()).text(id.region.as_str()).text(&id.name)
}

/// The number of the version that a key of [`layer_version`] belongs to.
pub fn layer_version_number(key: &Key) -> Option<u64> {
    let mut parts = key.parts();
    parts.text()?;
    parts.text()?;
    parts.text()?;
    parts.number()
}

/// The note that a version of a layer uses a package. No function's name holds a colon.
pub fn package_layer(package: &str, id: &LayerId, version: u64) -> Key {
    let layer = format!("layer:{}:{version}", id.name);
    super::users_of(package).text(id.account.as_str()).text(id.region.as_str()).text(&layer)
}

/// Where the policy of a function, a version or an alias is stored.
pub fn policy(id: &FunctionId, qualifier: Option<&Qualifier>) -> Key {
    attached(POLICIES, id, qualifier)
}

/// Where the URL of a function or an alias is stored.
pub fn url(id: &FunctionId, qualifier: Option<&Qualifier>) -> Key {
    attached(URLS, id, qualifier)
}

/// The prefix of a function's URLs: that of the function first, then those of aliases in the order of their names.
pub fn urls_of(id: &FunctionId) -> Key {
    super::owned(URLS, id)
}

/// Where it is stored whose URL this is.
pub fn url_id(url_id: &str) -> Key {
    URL_IDS.key().text(url_id)
}

/// Where the event invoke config of a function, a version or an alias is stored.
pub fn event_config(id: &FunctionId, qualifier: Option<&Qualifier>) -> Key {
    attached(EVENT_CONFIGS, id, qualifier)
}

/// The prefix of a function's event invoke configs.
pub fn event_configs_of(id: &FunctionId) -> Key {
    super::owned(EVENT_CONFIGS, id)
}

/// Where the runtime management config of a function or a version is stored.
pub fn runtime_config(id: &FunctionId, qualifier: Option<&Qualifier>) -> Key {
    attached(RUNTIME_CONFIGS, id, qualifier)
}

/// Where it is stored what becomes of a function's loops.
pub fn recursion(id: &FunctionId) -> Key {
    super::owned(RECURSION, id)
}

/// Where the provisioned concurrency of a version or an alias is stored.
pub fn provisioned(id: &FunctionId, qualifier: &Qualifier) -> Key {
    attached(PROVISIONED, id, Some(qualifier))
}

/// The prefix of a function's provisioned concurrency.
pub fn all_provisioned_of(id: &FunctionId) -> Key {
    super::owned(PROVISIONED, id)
}

/// The prefix of all provisioned concurrency.
pub fn all_provisioned() -> Key {
    PROVISIONED.key()
}

/// The prefixes of everything that is attached to a function, but for the ids of its URLs and what is
/// provisioned.
pub fn all_attached(id: &FunctionId) -> Vec<Key> {
    [POLICIES, URLS, EVENT_CONFIGS, RUNTIME_CONFIGS, RECURSION].map(|table| super::owned(table, id)).into()
}

/// Everything that is attached to one version or alias, but for the id of its URL and what is provisioned.
pub fn attached_to(id: &FunctionId, qualifier: &Qualifier) -> Vec<Key> {
    [POLICIES, URLS, EVENT_CONFIGS, RUNTIME_CONFIGS].map(|table| attached(table, id, Some(qualifier))).into()
}

/// The qualifier of a key of [`url`] or [`event_config`]; `None` stands for the function itself.
pub fn attached_qualifier(key: &Key) -> Option<Qualifier> {
    let mut parts = key.parts();
    parts.text()?;
    parts.text()?;
    parts.text()?;
    match parts.text()?.as_str() {
        "" => None,
        text => Some(Qualifier::parse(text)),
    }
}

/// What belongs to `$LATEST` belongs to the function itself.
fn attached(table: Table, id: &FunctionId, qualifier: Option<&Qualifier>) -> Key {
    let text = qualifier.map(Qualifier::to_string).filter(|text| text != LATEST).unwrap_or_default();
    super::owned(table, id).text(&text)
}

impl Record for LayerRecord {
    const NAME: &'static str = "a layer's record";
}

impl Record for LayerVersionRecord {
    const NAME: &'static str = "a layer version's record";
}

impl Record for PolicyRecord {
    const NAME: &'static str = "a function's policy";
}

impl Record for UrlRecord {
    const NAME: &'static str = "a function's URL";
}

impl Record for UrlOwner {
    const NAME: &'static str = "the owner of a URL";
}

impl Record for EventConfigRecord {
    const NAME: &'static str = "an event invoke config";
}

impl Record for ProvisionedRecord {
    const NAME: &'static str = "a config of provisioned concurrency";
}

impl Record for RuntimeRecord {
    const NAME: &'static str = "a runtime management config";
}

impl Record for RecursionRecord {
    const NAME: &'static str = "a recursion config";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::function_id;

    #[test]
    fn keys_lead_back_to_what_they_belong_to() {
        let function = function_id("a");
        let id = LayerId { account: function.account.clone(), region: function.region.clone(), name: "l".into() };
        assert_eq!(layer_name(&layer(&id)).as_deref(), Some("l"));
        assert_eq!(layer_version_number(&layer_version(&id, 300)), Some(300));
        let alias = Qualifier::Alias("PROD".to_owned());
        assert_eq!(attached_qualifier(&url(&function, Some(&alias))), Some(alias));
        assert_eq!(attached_qualifier(&url(&function, None)), None);
        assert_eq!(url(&function, None), url(&function, Some(&Qualifier::Latest)));
    }

    #[test]
    fn versions_are_ordered_by_number() {
        let function = function_id("a");
        let id = LayerId { account: function.account, region: function.region, name: "l".into() };
        assert!([1, 9, 10, 255, 256, 100_000].map(|version| layer_version(&id, version)).is_sorted());
    }
}
