import Testing

@Suite struct DistillationPlaceholder {}
