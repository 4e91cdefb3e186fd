import Testing

@Suite struct GenerationPlaceholder {}
