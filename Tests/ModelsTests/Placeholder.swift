import Testing

@Suite struct ModelsPlaceholder {}
