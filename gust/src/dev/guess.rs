//! What kind of function lies in a folder: its language and its handler, concluded from the files at its top.

use std::collections::BTreeSet;

/// The languages whose files are recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// A Python module.
    Python,
    /// A JavaScript module.
    Node,
    /// An executable named `bootstrap` (`provided.*`).
    Custom,
}

impl Language {
    /// What the names of its runtimes begin with.
    pub fn runtime_prefix(self) -> &'static str {
        match self {
            Language::Python => "python",
            Language::Node => "nodejs",
            Language::Custom => "provided",
        }
    }

    /// The language of a runtime's name; `None` for those that gust never runs.
    pub fn of_runtime(runtime: &str) -> Option<Language> {
        [Language::Python, Language::Node, Language::Custom]
            .into_iter()
            .find(|language| runtime.starts_with(language.runtime_prefix()))
    }

    fn extensions(self) -> &'static [&'static str] {
        match self {
            Language::Python => &["py"],
            Language::Node => &["mjs", "js", "cjs"],
            Language::Custom => &[],
        }
    }

    /// The names of files that usually hold the handler, in the order in which they are looked at: the ones that the
    /// Lambda console, SAM, Serverless and CDK make.
    fn usual_modules(self) -> &'static [&'static str] {
        match self {
            Language::Python => &["lambda_function", "app", "main", "handler", "index", "lambda_handler"],
            Language::Node => &["index", "app", "handler", "main", "lambda"],
            Language::Custom => &[],
        }
    }

    /// The usual names of handlers.
    fn usual_functions(self) -> &'static [&'static str] {
        match self {
            Language::Python => &["lambda_handler", "handler", "main"],
            Language::Node => &["handler", "lambdaHandler", "main"],
            Language::Custom => &[],
        }
    }
}

/// Why nothing could be concluded; the text tells the user which flag settles it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unclear(pub String);

/// The language of the function whose folder has these files at its top.
///
/// Errors: there is none that gust knows, or two of them.
pub fn language(files: &BTreeSet<String>) -> Result<Language, Unclear> {
    if files.contains("bootstrap") {
        return Ok(Language::Custom);
    }
    let has = |language: Language| files.iter().any(|file| module_of(language, file).is_some());
    match (has(Language::Python), has(Language::Node) || files.contains("package.json")) {
        (true, false) => Ok(Language::Python),
        (false, true) => Ok(Language::Node),
        (false, false) => Err(Unclear(
            "there is no *.py, *.js, *.mjs, package.json or bootstrap in it: name the --runtime".to_owned(),
        )),
        (true, true) => match (usual_file(Language::Python, files), usual_file(Language::Node, files)) {
            (Some(_), None) => Ok(Language::Python),
            (None, Some(_)) => Ok(Language::Node),
            _ => Err(Unclear("it holds Python and JavaScript: name the --runtime".to_owned())),
        },
    }
}

/// The handler: the first usual file that defines a usual function. `read` gives the text of a file.
///
/// Errors: no file defines one.
pub fn handler(
    language: Language,
    files: &BTreeSet<String>,
    mut read: impl FnMut(&str) -> Option<String>,
) -> Result<String, Unclear> {
    if language == Language::Custom {
        return Ok("bootstrap".to_owned());
    }
    for (file, module) in candidates(language, files) {
        let Some(text) = read(file) else { continue };
        let mut functions = language.usual_functions().iter();
        if let Some(function) = functions.find(|function| defines(language, &text, function)) {
            return Ok(format!("{module}.{function}"));
        }
    }
    let functions = language.usual_functions().join(", ");
    Err(Unclear(format!("no file at its top defines a handler ({functions}): name it with --handler FILE.FUNCTION")))
}

/// The files that may hold the handler with their modules' names: the usual ones first, then all others.
fn candidates(language: Language, files: &BTreeSet<String>) -> Vec<(&str, &str)> {
    let mut found: Vec<(&str, &str)> =
        files.iter().filter_map(|file| Some((file.as_str(), module_of(language, file)?))).collect();
    let usual = language.usual_modules();
    // Stable: files of the same module stay in the order of the extensions' names.
    found.sort_by_key(|(_, module)| usual.iter().position(|name| name == module).unwrap_or(usual.len()));
    found
}

fn usual_file(language: Language, files: &BTreeSet<String>) -> Option<&str> {
    let (file, module) = candidates(language, files).into_iter().next()?;
    language.usual_modules().contains(&module).then_some(file)
}

fn module_of(language: Language, file: &str) -> Option<&str> {
    let (module, extension) = file.rsplit_once('.')?;
    let is_test = module.starts_with("test_") || module == "conftest" || module == "setup" || module.contains('.');
    (!module.is_empty() && !is_test && language.extensions().contains(&extension)).then_some(module)
}

/// Whether the text defines or exports `function`. It looks at lines and does not parse: what it misses can be named
/// with a flag.
fn defines(language: Language, text: &str, function: &str) -> bool {
    let is_named = |rest: &str| {
        rest.strip_prefix(function).is_some_and(|after| !after.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    };
    match language {
        Language::Python => text.lines().any(|line| {
            let heads = ["async def ", "def ", "class ", ""];
            heads.iter().any(|head| {
                line.strip_prefix(head).is_some_and(|rest| {
                    is_named(rest) && (!head.is_empty() || rest[function.len()..].trim_start().starts_with(['=', ':']))
                })
            })
        }),
        Language::Node => text.lines().map(str::trim_start).any(|line| {
            let exported = ["exports.", "module.exports."].iter().find_map(|head| line.strip_prefix(head));
            if exported.is_some_and(is_named) {
                return true;
            }
            let Some(rest) = line.strip_prefix("export ").or_else(|| line.strip_prefix("module.exports")) else {
                return false;
            };
            rest.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '$').any(|word| word == function)
        }),
        Language::Custom => false,
    }
}

/// The name of a function made from a folder's name: letters, digits, `-` and `_`, at most 64.
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html>
pub fn function_name(folder: &str) -> Option<String> {
    let mapped = folder.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' });
    let name: String = mapped.take(64).collect();
    let name = name.trim_matches('-');
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_files_tell_the_language() {
        for (names, expected) in [
            (&["app.py", "requirements.txt"][..], Language::Python),
            (&["index.mjs"], Language::Node),
            (&["package.json", "src"], Language::Node),
            (&["bootstrap", "helper.py"], Language::Custom),
            (&["app.py", "package.json"], Language::Python),
            (&["index.js", "tool.py"], Language::Node),
        ] {
            assert_eq!(language(&files(names)), Ok(expected), "{names:?}");
        }
        for names in [&[][..], &["README.md"], &["app.py", "index.js"], &["test_app.py"]] {
            assert!(language(&files(names)).unwrap_err().0.contains("--runtime"), "{names:?}");
        }
    }

    #[test]
    fn the_handler_is_found_where_tools_put_it() {
        for (language, file, text, expected) in [
            (
                Language::Python,
                "lambda_function.py",
                "def lambda_handler(event, context):\n",
                "lambda_function.lambda_handler",
            ),
            (Language::Python, "app.py", "import x\nhandler = Mangum(app)\n", "app.handler"),
            (Language::Python, "main.py", "async def handler(event, context): pass", "main.handler"),
            (Language::Python, "other.py", "handler: Handler = make()", "other.handler"),
            (Language::Node, "index.mjs", "export const handler = async (event) => {", "index.handler"),
            (Language::Node, "index.js", "exports.handler = async function () {}", "index.handler"),
            (Language::Node, "app.js", "module.exports = { lambdaHandler };", "app.lambdaHandler"),
            (Language::Node, "app.mjs", "export { other, handler }", "app.handler"),
            (Language::Node, "app.mjs", "  export async function handler(event) {}", "app.handler"),
        ] {
            let found = handler(language, &files(&[file]), |_| Some(text.to_owned()));
            assert_eq!(found.as_deref(), Ok(expected), "{file}: {text}");
        }
        assert_eq!(handler(Language::Custom, &files(&["bootstrap"]), |_| None).unwrap(), "bootstrap");
    }

    #[test]
    fn what_defines_none_is_said() {
        for (language, text) in [
            (Language::Python, "def handlers(event): pass"),
            (Language::Python, "    def handler(self): pass"),
            (Language::Python, "handler(1)"),
            (Language::Node, "const handler = 1;"),
            (Language::Node, "export const handlers = 1;"),
        ] {
            let name = if language == Language::Python { "app.py" } else { "index.js" };
            let found = handler(language, &files(&[name]), |_| Some(text.to_owned()));
            assert!(found.unwrap_err().0.contains("--handler"), "{text}");
        }
    }

    #[test]
    fn usual_files_come_before_others() {
        let all = files(&["aaa.py", "app.py", "main.py", "test_app.py"]);
        let found = handler(Language::Python, &all, |_| Some("def handler(a, b): ...".to_owned()));
        assert_eq!(found.unwrap(), "app.handler");
        let found = handler(Language::Python, &all, |file| (file == "aaa.py").then(|| "def handler(): 1".to_owned()));
        assert_eq!(found.unwrap(), "aaa.handler");
    }

    #[test]
    fn folders_become_names() {
        assert_eq!(function_name("my.function v2").as_deref(), Some("my-function-v2"));
        assert_eq!(function_name("-über-").as_deref(), Some("ber"));
        assert_eq!(function_name(&"x".repeat(99)).unwrap().len(), 64);
        assert_eq!(function_name("..."), None);
    }
}
