//! The resource that every request names.

use crate::backend::percent_decoded;

/// The resource attributes of OpenTelemetry's semantic conventions, `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`
/// (`key=value,...`, percent-encoded) included. Environment and release are never here: they belong to the handle.
#[must_use]
pub fn attributes(language: &str, env: &dyn Fn(&str) -> Option<String>) -> Vec<(String, String)> {
    let mut resource: Vec<(String, String)> = vec![
        ("telemetry.sdk.language".into(), language.into()),
        ("telemetry.sdk.name".into(), "tracespool".into()),
        ("telemetry.sdk.version".into(), crate::VERSION.into()),
    ];
    for pair in env("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default().split(',').take(64) {
        let Some((key, value)) = pair.split_once('=') else {
            continue;
        };
        let (key, value) = (key.trim(), percent_decoded(value.trim()));
        if !key.is_empty() && !key.starts_with("langfuse.") && value.len() <= 1024 {
            resource.retain(|(other, _)| other != key);
            resource.push((key.to_owned(), value));
        }
    }
    let name = env("OTEL_SERVICE_NAME").filter(|name| !name.is_empty());
    if name.is_some() || !resource.iter().any(|(key, _)| key == "service.name") {
        resource.retain(|(key, _)| key != "service.name");
        resource
            .push(("service.name".into(), name.unwrap_or_else(|| ["unknown_service:", language].concat())));
    }
    resource
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resource_attributes_come_from_the_environment() {
        let env = |name: &str| match name {
            "OTEL_SERVICE_NAME" => Some("shop".to_owned()),
            "OTEL_RESOURCE_ATTRIBUTES" => {
                Some("service.name=other,team=a%20b,langfuse.environment=x,broken".to_owned())
            }
            _ => None,
        };
        let resource = attributes("rust", &env);
        assert!(resource.contains(&("service.name".into(), "shop".into())));
        assert!(resource.contains(&("team".into(), "a b".into())));
        assert!(!resource.iter().any(|(key, _)| key == "langfuse.environment"));
        assert_eq!(resource.iter().filter(|(key, _)| key == "service.name").count(), 1);
    }
}
