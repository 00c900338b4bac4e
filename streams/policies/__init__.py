"""Pure decisions: values, `now` and configuration in, a decision out. Nothing here does IO or reads a clock."""
