//! What to say when there is nothing to run.

use super::Survey;

/// The smallest pipeline that can be pasted.
const EXAMPLE: &str = r#"
[pipelines.diagnostics]
title = "Diagnostics"

[[pipelines.diagnostics.stages]]
id = "build"
command = "make"

[[pipelines.diagnostics.stages]]
id = "test"
command = "make test"
"#;

impl Survey {
    /// Why there is nothing to run and what to do about it, with a pipeline to paste; `None`
    /// when there is something.
    #[must_use]
    pub fn advice(&self) -> Option<String> {
        if self.pipeline.is_some() {
            return None;
        }
        let mut text = match self.projects.as_slice() {
            [] => "nothing was recognised here that could be built, linted or tested".to_owned(),
            projects => {
                let whats: Vec<_> = projects
                    .iter()
                    .map(|project| format!("{} in `{}`", project.what, project.path))
                    .collect();
                format!("nothing can be checked: {}", whats.join(", "))
            }
        };
        for entry in &self.left_out {
            text.push_str(&format!(
                "\n  left out: {}: {}; {}",
                entry.what, entry.why, entry.remedy
            ));
        }
        text.push_str(
            "\nto say what is to be run, put this into `.codex/orchestrator.toml` and change it:\n",
        );
        text.push_str(EXAMPLE);
        Some(text)
    }
}
