//! What to generate: the description made complete and its names settled.

use crate::model::{Api, Reference, Shape};
use crate::{MemberPolicies, names};
use std::collections::{BTreeMap, BTreeSet};

/// The constraints that `members.json` may word differently, with their names in `gust_wire`.
pub const WORDINGS: &[(&str, &str)] = &[
    ("required", "Required"),
    ("length", "Length"),
    ("range", "Range"),
    ("pattern", "Pattern"),
    ("values", "Values"),
    ("items", "Items"),
];

/// A description that is ready to be written out.
pub struct Plan {
    /// The description.
    pub api: Api,
    /// What becomes of members without effect.
    pub policies: MemberPolicies,
    /// All shapes, those added for operations without input or output included.
    pub shapes: BTreeMap<String, Shape>,
    /// Shapes that stand for an input or output that the model does not have.
    pub absent: BTreeSet<String>,
    /// Input and output shape of each operation.
    pub ends: BTreeMap<String, (String, String)>,
    /// Shapes that are read from requests.
    pub read: BTreeSet<String>,
    /// Shapes that are written to responses.
    pub written: BTreeSet<String>,
}

impl Plan {
    pub fn new(api: Api, policies: MemberPolicies) -> Result<Plan, String> {
        let mut plan = Plan {
            shapes: api.shapes.0.iter().cloned().collect(),
            api,
            policies,
            absent: BTreeSet::new(),
            ends: BTreeMap::new(),
            read: BTreeSet::new(),
            written: BTreeSet::new(),
        };
        plan.check_references()?;
        for (name, operation) in plan.api.operations.0.clone() {
            let input = plan.end(&name, "Request", operation.input.as_ref());
            let output = plan.end(&name, "Response", operation.output.as_ref());
            let (mut read, mut written) = (std::mem::take(&mut plan.read), std::mem::take(&mut plan.written));
            plan.reach(&input, &mut read);
            plan.reach(&output, &mut written);
            (plan.read, plan.written) = (read, written);
            plan.ends.insert(name, (input, output));
        }
        plan.check_policies()?;
        Ok(plan)
    }

    /// The shape called `name`, which exists because `check_references` has seen every reference.
    pub fn shape(&self, name: &str) -> &Shape {
        &self.shapes[name]
    }

    /// The Rust type for a structure or an enum; it steps aside for an operation of the same name.
    pub fn type_name(&self, shape: &str) -> String {
        let name = names::type_name(shape);
        if self.api.operations.get(&name).is_some() { format!("{name}Shape") } else { name }
    }

    /// Whether member `member` of structure `owner` must be boxed: its structure leads back to `owner`
    /// through structures alone (lists and maps are indirect by themselves).
    pub fn boxed(&self, owner: &str, member: &str) -> bool {
        let (mut seen, mut open) = (BTreeSet::new(), vec![member]);
        while let Some(name) = open.pop() {
            let shape = self.shape(name);
            if shape.kind != "structure" || shape.document {
                continue;
            }
            if name == owner {
                return true;
            }
            if seen.insert(name) {
                open.extend(shape.references());
            }
        }
        false
    }

    /// Whether a timestamp is found under `shape` without crossing a structure.
    pub fn holds_timestamp(&self, shape: &str) -> bool {
        let shape = self.shape(shape);
        match shape.kind.as_str() {
            "timestamp" => true,
            "list" | "map" => {
                [&shape.member, &shape.value].into_iter().flatten().any(|part| self.holds_timestamp(&part.shape))
            }
            _ => false,
        }
    }

    fn end(&mut self, operation: &str, suffix: &str, reference: Option<&Reference>) -> String {
        if let Some(reference) = reference {
            return reference.shape.clone();
        }
        let mut name = format!("{operation}{suffix}");
        while self.shapes.contains_key(&name) {
            name.push('_');
        }
        self.shapes.insert(name.clone(), Shape { kind: "structure".to_owned(), ..Shape::default() });
        self.absent.insert(name.clone());
        name
    }

    fn reach(&self, name: &str, reached: &mut BTreeSet<String>) {
        let mut open = vec![name];
        while let Some(name) = open.pop() {
            if reached.insert(name.to_owned()) {
                open.extend(self.shape(name).references());
            }
        }
    }

    fn check_references(&self) -> Result<(), String> {
        let from_shapes = self.shapes.values().flat_map(Shape::references);
        let from_operations = self.api.operations.0.iter().flat_map(|(_, operation)| operation.references());
        for name in from_shapes.chain(from_operations) {
            if !self.shapes.contains_key(name) {
                return Err(format!("{}/api.json: shape {name} is referred to and missing", self.api.service));
            }
        }
        Ok(())
    }

    fn check_policies(&self) -> Result<(), String> {
        let file = format!("{}/members.json", self.api.service);
        for (operation, members) in &self.policies.0 {
            let Some((input, _)) = self.ends.get(operation) else {
                return Err(format!("{file}: {operation} is not an operation of api.json"));
            };
            for (path, treatment) in &members.0 {
                self.find_member(input, path).ok_or_else(|| format!("{file}: {operation} has no member {path}"))?;
                for (key, text) in &treatment.0 {
                    let worded = WORDINGS.iter().any(|(name, _)| name == key) && text.contains(": ");
                    if !(worded || matches!(key.as_str(), "accepted" | "refused" | "honoured") && !text.is_empty()) {
                        return Err(format!(
                            "{file}: {operation}.{path}.{key} is not understood; see gust_codegen::MemberPolicies"
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    fn find_member(&self, structure: &str, path: &str) -> Option<()> {
        let mut shape = structure;
        for part in path.split('.') {
            while let Some(inner) = self.shape(shape).member.as_ref().or(self.shape(shape).value.as_ref()) {
                shape = &inner.shape;
            }
            shape = &self.shape(shape).members.get(part)?.shape;
        }
        Some(())
    }
}
