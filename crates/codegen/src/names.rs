//! From the model's names to Rust's.

/// `VpcConfig` -> `vpc_config`, `KMSKeyArn` -> `kms_key_arn`, `logGroupName` -> `log_group_name`; keywords are
/// escaped.
pub fn field(name: &str) -> String {
    let snake = snake(name);
    match snake.as_str() {
        "self" | "super" | "crate" | "_" => format!("{snake}_"),
        word if KEYWORDS.contains(&word) => format!("r#{word}"),
        _ => snake,
    }
}

/// The snake case of a name, keywords not escaped.
pub fn snake(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut text = String::new();
    for (index, letter) in letters.iter().enumerate() {
        if !letter.is_ascii_alphanumeric() {
            text.push('_');
            continue;
        }
        if letter.is_ascii_uppercase() && index > 0 {
            let before = letters[index - 1];
            let next_is_lower = letters.get(index + 1).is_some_and(|next| next.is_ascii_lowercase());
            // A plural of an acronym (`ARNs`) is one word.
            let plural = next_is_lower
                && letters[index + 1] == 's'
                && letters.get(index + 2).is_none_or(|c| !c.is_ascii_lowercase());
            let starts_word = before.is_ascii_lowercase()
                || before.is_ascii_digit()
                || (before.is_ascii_uppercase() && next_is_lower && !plural);
            if starts_word && !text.ends_with('_') {
                text.push('_');
            }
        }
        text.push(letter.to_ascii_lowercase());
    }
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        text.insert(0, '_');
    }
    text
}

/// A type's name: the model's, with a capital first, and out of the prelude's way.
pub fn type_name(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    let text: String = first.into_iter().chain(letters).filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    match text.as_str() {
        "Option" | "Vec" | "String" | "Box" | "Result" | "Default" | "Bytes" | "BTreeMap" | "Doc" | "Self" | "Some"
        | "None" | "Ok" | "Err" | "From" | "Into" | "Clone" | "Debug" | "FromDoc" | "IntoDoc" => format!("{text}Shape"),
        _ => text,
    }
}

/// An enum value's variant: `python3.9` -> `Python3_9`, `ON_DEMAND` -> `OnDemand`, `DryRun` -> `DryRun`.
pub fn variant(value: &str) -> String {
    let mut text = String::new();
    for word in value.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        let shouted = word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
        let digits_meet =
            text.ends_with(|c: char| c.is_ascii_digit()) && word.starts_with(|c: char| c.is_ascii_digit());
        if digits_meet {
            text.push('_');
        }
        for (index, letter) in word.chars().enumerate() {
            match (index, shouted) {
                (0, _) => text.push(letter.to_ascii_uppercase()),
                (_, true) => text.push(letter.to_ascii_lowercase()),
                (_, false) => text.push(letter),
            }
        }
    }
    if text.is_empty() {
        return "Empty".to_owned();
    }
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        text.insert(0, 'V');
    }
    match text.as_str() {
        "Self" | "Unrecognized" => format!("{text}_"),
        _ => text,
    }
}

const KEYWORDS: &[&str] = &[
    "as", "async", "await", "break", "const", "continue", "dyn", "else", "enum", "extern", "false", "fn", "for", "gen",
    "if", "impl", "in", "let", "loop", "match", "mod", "move", "mut", "pub", "ref", "return", "static", "struct",
    "trait", "true", "type", "unsafe", "use", "where", "while", "abstract", "become", "box", "do", "final", "macro",
    "override", "priv", "try", "typeof", "unsized", "virtual", "yield",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_snake_case() {
        for (name, expected) in [
            ("VpcConfig", "vpc_config"),
            ("KMSKeyArn", "kms_key_arn"),
            ("logGroupName", "log_group_name"),
            ("CodeSha256", "code_sha256"),
            ("S3Bucket", "s3_bucket"),
            ("PolicyARNs", "policy_arns"),
            ("Type", "r#type"),
            ("IPv6AllowedForDualStack", "i_pv6_allowed_for_dual_stack"),
            ("SSEKMSKeyId", "ssekms_key_id"),
        ] {
            assert_eq!(field(name), expected);
        }
    }

    #[test]
    fn variants_are_camel_case() {
        for (value, expected) in [
            ("python3.9", "Python3_9"),
            ("nodejs4.3-edge", "Nodejs4_3Edge"),
            ("provided.al2023", "ProvidedAl2023"),
            ("x86_64", "X86_64"),
            ("ON_DEMAND", "OnDemand"),
            ("DryRun", "DryRun"),
            ("FAILED", "Failed"),
            ("", "Empty"),
            ("2012", "V2012"),
            ("aws:kms", "AwsKms"),
        ] {
            assert_eq!(variant(value), expected);
        }
    }
}
