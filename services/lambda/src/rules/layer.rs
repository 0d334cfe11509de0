//! Layers' names and ARNs, and what a function may ask of them.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/api/API_PublishLayerVersion.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/adding-layers.html>.

use crate::error::{AttachedError, LambdaError};
use crate::layer::{LayerId, LayerUse, LayerVersionRecord};
use crate::limits;
use crate::rules::policy::Principal;
use gust_kit::Call;
use gust_types::{AccountId, Region};

/// A version of a layer that a function asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerWish {
    /// The ARN as it was given.
    pub arn: String,
    /// The layer.
    pub id: LayerId,
    /// The version.
    pub version: u64,
}

/// The layer that a request names by its name or its ARN (without a version).
///
/// Errors: a layer of another region cannot be reached from here (inferred: AWS does not say).
pub fn resolve(text: &str, call: &Call) -> Result<LayerId, LambdaError> {
    let Some((id, version)) = parse(text) else {
        return Ok(LayerId { account: call.account().clone(), region: call.region.clone(), name: text.into() });
    };
    if version.is_some() || id.region != call.region {
        return Err(AttachedError::NoResource.into());
    }
    Ok(id)
}

/// The version that an ARN names; `None` if it names none.
pub fn parse_version(arn: &str) -> Option<(LayerId, u64)> {
    let (id, version) = parse(arn)?;
    Some((id, version?))
}

/// `arn:partition:lambda:region:account:layer:name[:version]`
fn parse(arn: &str) -> Option<(LayerId, Option<u64>)> {
    let mut parts = arn.split(':');
    let (start, _partition, service) = (parts.next()?, parts.next()?, parts.next()?);
    let (region, account, kind) = (Region::parse(parts.next()?)?, AccountId::parse(parts.next()?)?, parts.next()?);
    let (name, version) = (parts.next()?, parts.next());
    if start != "arn" || service != "lambda" || kind != "layer" || name.is_empty() || parts.next().is_some() {
        return None;
    }
    let version = version.map(|digits| digits.parse().ok()).map_or(Some(None), |number| number.map(Some))?;
    Some((LayerId { account, region, name: name.into() }, version))
}

/// The versions that a function's `Layers` ask for.
///
/// Errors: more than five, two of the same layer, one of another region, one of AWS's own.
pub fn wishes(arns: &[String], call: &Call) -> Result<Vec<LayerWish>, AttachedError> {
    if arns.len() > limits::LAYERS_MAX {
        return Err(AttachedError::TooManyLayers);
    }
    let mut wishes: Vec<LayerWish> = Vec::with_capacity(arns.len());
    for arn in arns {
        let (id, version) = parse_version(arn).ok_or_else(|| AttachedError::LayerUnknown { arn: arn.clone() })?;
        if id.region != call.region {
            return Err(AttachedError::LayerElsewhere { region: call.region.to_string() });
        }
        if let Some(other) = wishes.iter().find(|other| other.id == id) {
            return Err(AttachedError::LayerTwice { one: other.arn.clone(), other: arn.clone() });
        }
        wishes.push(LayerWish { arn: arn.clone(), id, version });
    }
    Ok(wishes)
}

/// Whether the caller's account may use the version of a layer: its owner may, and those whom its policy lets
/// in. A statement for an organization lets nobody in, because there are no organizations.
pub fn may_use(id: &LayerId, record: &LayerVersionRecord, call: &Call) -> bool {
    let root = format!(":iam::{}:root", call.account());
    let lets_in = |principal: &Principal| match principal {
        Principal::Everybody(_) => true,
        Principal::Aws { arn } => arn.ends_with(&root),
        Principal::Service { .. } => false,
    };
    let open = |record: &LayerVersionRecord| {
        record.statements.iter().any(|statement| statement.condition.is_none() && lets_in(&statement.principal))
    };
    id.account == *call.account() || open(record)
}

/// Checks the size of code and layers together, unpacked.
pub fn check_size(code_bytes: u64, layers: &[LayerUse]) -> Result<(), AttachedError> {
    let bytes = layers.iter().map(|layer| layer.package.unzipped_bytes).sum::<u64>() + code_bytes;
    if bytes > limits::UNZIPPED_BYTES_MAX { Err(AttachedError::LayersTooLarge { bytes }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Package;
    use crate::rules::policy::{Condition, Statement, principal};
    use crate::tests::{call, call_in};

    const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:layer:l";

    #[test]
    fn layers_are_named_by_name_and_arn() {
        for text in ["l", ARN] {
            assert_eq!(resolve(text, &call()).unwrap().arn(), ARN);
        }
        assert_eq!(
            resolve("arn:aws:lambda:us-east-1:111111111111:layer:l", &call()).unwrap().account.as_str(),
            "111111111111"
        );
        for text in ["arn:aws:lambda:eu-west-1:000000000000:layer:l", &format!("{ARN}:1")] {
            assert_eq!(resolve(text, &call()).unwrap_err().to_string(), "The resource you requested does not exist.");
        }
        let (id, version) = parse_version(&format!("{ARN}:12")).unwrap();
        assert_eq!(id.version_arn(version), format!("{ARN}:12"));
        for text in [
            ARN,
            "l",
            "",
            &format!("{ARN}:x"),
            &format!("{ARN}:1:2"),
            "arn:aws:lambda:::awslayer:Big",
            &ARN.replace("layer", "function"),
        ] {
            assert_eq!(parse_version(text), None, "{text}");
        }
    }

    #[test]
    fn a_function_has_five_layers_at_most_and_none_twice() {
        let arn = |name: &str, version: u32| format!("arn:aws:lambda:us-east-1:000000000000:layer:{name}:{version}");
        let of = |arns: &[String]| wishes(arns, &call()).map(|wishes| wishes.len()).map_err(|error| error.to_string());
        let five: Vec<String> = (0..5).map(|n| arn(&format!("l{n}"), 1)).collect();
        assert_eq!(of(&five), Ok(5));
        assert_eq!(of(&[]), Ok(0));
        let six = [five.clone(), vec![arn("l5", 1)]].concat();
        assert_eq!(of(&six).unwrap_err(), "Cannot reference more than 5 layers.");
        for version in [1, 2] {
            let twice = of(&[arn("a", 1), arn("a", version)]).unwrap_err();
            assert!(twice.starts_with("Two different versions of the same layer are not allowed"), "{twice}");
        }
        let elsewhere = of(&[arn("a", 1).replace("us-east-1", "eu-west-1")]).unwrap_err();
        assert_eq!(
            elsewhere,
            "Layers are not in the same region as the function. Layers are expected to be in region us-east-1."
        );
        assert_eq!(
            of(&["arn:aws:lambda:::awslayer:Big".to_owned()]).unwrap_err(),
            "Layer version arn:aws:lambda:::awslayer:Big does not exist."
        );
    }

    #[test]
    fn others_need_a_permission() {
        let id = resolve("l", &call()).unwrap();
        let statement = |who: &str, condition: Option<Condition>| Statement {
            sid: "s".into(),
            effect: "Allow".into(),
            principal: principal(who, "aws").unwrap(),
            action: "lambda:GetLayerVersion".into(),
            resource: ARN.into(),
            condition,
        };
        let record = |statements: Vec<Statement>| LayerVersionRecord {
            description: String::new(),
            license_info: None,
            runtimes: vec![],
            architectures: vec![],
            created_at_ms: 0,
            package: Package { sha256: String::new(), zip_bytes: 0, unzipped_bytes: 0 },
            statements,
            policy_revision_id: String::new(),
        };
        let other = call_in("us-east-1", "111111111111");
        assert!(may_use(&id, &record(vec![]), &call()));
        assert!(!may_use(&id, &record(vec![]), &other));
        assert!(may_use(&id, &record(vec![statement("*", None)]), &other));
        assert!(may_use(&id, &record(vec![statement("111111111111", None)]), &other));
        assert!(!may_use(&id, &record(vec![statement("222222222222", None)]), &other));
        let organization = Condition {
            string_equals: [("aws:PrincipalOrgID".to_owned(), "o-1".to_owned())].into(),
            ..Default::default()
        };
        assert!(!may_use(&id, &record(vec![statement("*", organization.if_any())]), &other));
    }

    #[test]
    fn code_and_layers_have_one_limit() {
        let layer = |unzipped_bytes| LayerUse {
            arn: ARN.into(),
            package: Package { sha256: String::new(), zip_bytes: 1, unzipped_bytes },
        };
        assert_eq!(check_size(1, &[layer(131_072_000), layer(131_071_999)]), Ok(()));
        let refused = check_size(1, &[layer(131_072_000), layer(131_072_000)]).unwrap_err().to_string();
        assert_eq!(
            refused,
            "Function code combined with layers exceeds the maximum allowed size of 262144000 bytes. The actual size is 262144001 bytes."
        );
    }
}
