//! What `@logins` stands for: where people keep what opens doors elsewhere.

/// Each below the home. Settings that are no secret but lie in the same file are told to the tools that
/// look there; files that are nothing but settings are not here, whatever somebody has written into
/// them.
pub const LOGINS: &[&str] = &[
    // Keys, and what clouds and hosts of code take for one.
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".config/gcloud",
    ".config/gh",
    ".kube",
    ".docker",
    ".terraform.d/credentials.tfrc.json",
    ".netrc",
    ".git-credentials",
    ".config/git/credentials",
    // What tools for packages write when somebody logs in.
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".npmrc",
    ".yarnrc.yml",
    ".pypirc",
    ".pip",
    ".config/pip",
    ".gem/credentials",
    ".local/share/gem/credentials",
    ".m2/settings.xml",
    ".m2/settings-security.xml",
    ".gradle/gradle.properties",
    // What is kept for a person: passwords, and who they are on the web.
    ".password-store",
    ".local/share/keyrings",
    ".local/share/kwalletd",
    ".mozilla",
    ".thunderbird",
    ".config/chromium",
    ".config/google-chrome",
    ".config/microsoft-edge",
    ".config/BraveSoftware",
    "snap/firefox",
    "snap/chromium",
    // Codex's own login, which its threads are given by their runner.
    ".codex/auth.json",
];
