import Testing

@Suite struct TokenizersPlaceholder {}
