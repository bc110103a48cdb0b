"""Rules over figures: what is watched, where each rule stands, who is told of a change."""
