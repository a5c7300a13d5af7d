//! Built-in training programs: click-through-rate models on rating data
