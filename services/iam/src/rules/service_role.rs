//! Roles that AWS's services make for themselves (service-linked roles).
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_aws-services-that-work-with-iam.html> and each
//! service's own page about its role.

use crate::error::IamError;

/// How a service's role is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Template {
    service: &'static str,
    role: &'static str,
    policy: &'static str,
    takes_suffix: bool,
}

const fn plain(service: &'static str, role: &'static str, policy: &'static str) -> Template {
    Template { service, role, policy, takes_suffix: false }
}

/// The services that tools make such roles for.
const TEMPLATES: [Template; 19] = [
    Template {
        service: "autoscaling.amazonaws.com",
        role: "AWSServiceRoleForAutoScaling",
        policy: "AutoScalingServiceRolePolicy",
        takes_suffix: true,
    },
    plain(
        "apidestinations.events.amazonaws.com",
        "AWSServiceRoleForAmazonEventBridgeApiDestinations",
        "AmazonEventBridgeApiDestinationsServiceRolePolicy",
    ),
    plain("batch.amazonaws.com", "AWSServiceRoleForBatch", "BatchServiceRolePolicy"),
    plain("cloudtrail.amazonaws.com", "AWSServiceRoleForCloudTrail", "CloudTrailServiceRolePolicy"),
    plain("config.amazonaws.com", "AWSServiceRoleForConfig", "AWSConfigServiceRolePolicy"),
    plain(
        "dynamodb.application-autoscaling.amazonaws.com",
        "AWSServiceRoleForApplicationAutoScaling_DynamoDBTable",
        "AWSApplicationAutoscalingDynamoDBTablePolicy",
    ),
    plain("ecs.amazonaws.com", "AWSServiceRoleForECS", "AmazonECSServiceRolePolicy"),
    plain(
        "ecs.application-autoscaling.amazonaws.com",
        "AWSServiceRoleForApplicationAutoScaling_ECSService",
        "AWSApplicationAutoscalingECSServicePolicy",
    ),
    plain("eks.amazonaws.com", "AWSServiceRoleForAmazonEKS", "AmazonEKSServiceRolePolicy"),
    plain("elasticache.amazonaws.com", "AWSServiceRoleForElastiCache", "ElastiCacheServiceRolePolicy"),
    plain(
        "elasticloadbalancing.amazonaws.com",
        "AWSServiceRoleForElasticLoadBalancing",
        "AWSElasticLoadBalancingServiceRolePolicy",
    ),
    plain("es.amazonaws.com", "AWSServiceRoleForAmazonElasticsearchService", "AmazonElasticsearchServiceRolePolicy"),
    plain(
        "lambda.application-autoscaling.amazonaws.com",
        "AWSServiceRoleForApplicationAutoScaling_LambdaConcurrency",
        "AWSApplicationAutoscalingLambdaConcurrencyPolicy",
    ),
    plain(
        "opensearchservice.amazonaws.com",
        "AWSServiceRoleForAmazonOpenSearchService",
        "AmazonOpenSearchServiceRolePolicy",
    ),
    plain("ops.apigateway.amazonaws.com", "AWSServiceRoleForAPIGateway", "APIGatewayServiceRolePolicy"),
    plain("organizations.amazonaws.com", "AWSServiceRoleForOrganizations", "AWSOrganizationsServiceTrustPolicy"),
    plain("rds.amazonaws.com", "AWSServiceRoleForRDS", "AmazonRDSServiceRolePolicy"),
    plain("replicator.lambda.amazonaws.com", "AWSServiceRoleForLambdaReplicator", "AWSLambdaReplicator"),
    plain("spot.amazonaws.com", "AWSServiceRoleForEC2Spot", "AWSEC2SpotServiceRolePolicy"),
];

/// How the role of `service` is made.
pub fn template(service: &str) -> Result<Template, IamError> {
    let found = TEMPLATES.iter().find(|template| template.service == service);
    let refuse = || IamError::InvalidInput(format!("Cannot find Service Linked Role template for {service}"));
    found.copied().ok_or_else(refuse)
}

impl Template {
    /// The role's name, with the suffix that the caller wants.
    pub fn role_name(self, suffix: Option<&str>) -> Result<String, IamError> {
        match suffix {
            None => Ok(self.role.to_owned()),
            Some(suffix) if self.takes_suffix => Ok(format!("{}_{suffix}", self.role)),
            Some(_) => Err(IamError::InvalidInput(format!("Custom suffix is not allowed for {}", self.service))),
        }
    }

    /// The policy that says what the service may do.
    pub fn policy_arn(self) -> String {
        format!("arn:aws:iam::aws:policy/aws-service-role/{}", self.policy)
    }
}

/// The trust policy of a service's role.
pub fn trust_policy(service: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"Service":"{service}"}},"Action":"sts:AssumeRole"}}]}}"#
    )
}

/// The refusal of a role that is there already.
pub fn taken(role: &str) -> String {
    format!("Service role name {role} has been taken in this account, please try a different suffix.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{managed, policy};

    #[test]
    fn every_template_is_sound() {
        for template in TEMPLATES {
            assert!(managed::exists(&template.policy_arn()), "{template:?}");
            policy::check(&trust_policy(template.service), policy::Kind::Trust).unwrap();
        }
    }
}
