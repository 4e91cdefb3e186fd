import Testing

@Suite struct ComputePlaceholder {}
