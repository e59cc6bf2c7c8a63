//! What a run is and how it moves. The same inputs always give the same answer.
//!
//! Knows: pipelines, stages, runs, requests, reports, events, effects.
//! Does not know: clocks, files, processes, SQL, async.
