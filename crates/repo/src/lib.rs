//! What a repository says about itself.
