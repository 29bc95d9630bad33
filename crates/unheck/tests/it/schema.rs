//! Just enough of JSON Schema (draft 2020-12) to hold output against the files in `schemas/`.

use serde_json::Value;

/// Panics with the place in the document when `value` is not what the schema `name` says.
pub(crate) fn check(name: &str, text: &str) -> Value {
    let path = format!("{}/../../schemas/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let schema: Value =
        serde_json::from_str(&fs_err::read_to_string(path).expect("schema")).expect("schema");
    assert_eq!(text.lines().count(), 1, "one line: {text}");
    let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    validate(&schema, &value, "$");
    value
}

fn validate(schema: &Value, value: &Value, at: &str) {
    for (keyword, rule) in schema.as_object().expect("schema") {
        match keyword.as_str() {
            "type" => assert!(
                has_type(rule.as_str().expect("type"), value),
                "{at} is no {rule}: {value}"
            ),
            "enum" => assert!(
                rule.as_array().expect("enum").contains(value),
                "{at}: {value} is none of {rule}"
            ),
            "minimum" => assert!(value.as_f64() >= rule.as_f64(), "{at}: {value}"),
            "required" => {
                for name in rule.as_array().expect("required") {
                    assert!(
                        value.get(name.as_str().expect("name")).is_some(),
                        "{at} lacks {name}"
                    );
                }
            }
            "items" => {
                for (number, item) in value.as_array().into_iter().flatten().enumerate() {
                    validate(rule, item, &format!("{at}[{number}]"));
                }
            }
            "properties" | "additionalProperties" => properties(schema, value, at),
            // The only pattern is that of digests.
            "pattern" => {
                let hex = value
                    .as_str()
                    .and_then(|text| text.strip_prefix("sha256:"))
                    .unwrap_or_default();
                assert!(
                    hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()),
                    "{at}: {value}"
                );
            }
            "$schema" | "title" | "description" => {}
            other => panic!("the validator does not know `{other}`"),
        }
    }
}

fn properties(schema: &Value, value: &Value, at: &str) {
    for (name, inner) in value.as_object().into_iter().flatten() {
        let at = format!("{at}.{name}");
        match (
            schema.get("properties").and_then(|known| known.get(name)),
            schema.get("additionalProperties"),
        ) {
            (Some(rule), _) => validate(rule, inner, &at),
            (None, Some(Value::Bool(false))) => panic!("{at} is not in the schema"),
            (None, Some(rule)) if rule.is_object() => validate(rule, inner, &at),
            _ => {}
        }
    }
}

fn has_type(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        other => panic!("the validator does not know the type `{other}`"),
    }
}
