//! Carries decisions out: joins the model, the store and the process trees.
