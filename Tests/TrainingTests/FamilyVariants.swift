import Compute
import Models
import Rules

extension BitEqualityTests {
    /// Models with what is particular of each family, in sizes that no model has.
    static let families: [Variant] = familyConfigurations.flatMap { name, configuration in
        [ElementType.f32, .bf16].map { Variant(name: name, configuration: configuration, type: $0) }
    }

    private static let familyConfigurations: [(String, ModelConfiguration)] = [
        ("gemma2", gemma2), ("gemma3", gemma3), ("phi3, longrope", phi3), ("olmo2", olmo2), ("granite", granite),
        ("smollm3, yarn", smolLM3), ("mistral, window", mistral),
        ("qwen3-moe", qwen3MoE), ("qwen3-moe, some layers", qwen3MoEOfSomeLayers),
    ]

    private static var gemma2: ModelConfiguration {
        var configuration = ModelConfiguration(
            family: .gemma2, vocabularySize: 541, hiddenSize: 72, intermediateSize: 136, layerCount: 3, headCount: 6,
            keyValueHeadCount: 2, headDimension: 16, maxPositions: 512, tiedEmbeddings: true)
        configuration.activation = .geluTanh
        configuration.multipliers.embedding = 8.485281
        configuration.multipliers.attention = 0.2
        configuration.attentionSoftCap = 7
        configuration.logitSoftCap = 11
        configuration.slidingWindow = 21
        configuration.layerKinds = .init(count: 3, slidingPattern: 2)
        return configuration
    }

    private static var gemma3: ModelConfiguration {
        var configuration = ModelConfiguration(
            family: .gemma3, vocabularySize: 500, hiddenSize: 64, intermediateSize: 120, layerCount: 3, headCount: 4,
            keyValueHeadCount: 1, headDimension: 24, ropeTheta: 1_000_000, ropeScaling: .linear(factor: 8),
            maxPositions: 512, tiedEmbeddings: true, attentionInputBias: true, attentionOutputBias: true, qkNorm: true)
        configuration.activation = .geluTanh
        configuration.multipliers.embedding = 8
        configuration.multipliers.attention = 0.25
        configuration.slidingWindow = 65
        configuration.slidingRope = Rope(theta: 10000)
        configuration.layerKinds = .init(count: 3, slidingPattern: 3)
        return configuration
    }

    /// Most of the sequences grow beyond the original context, or begin there.
    private static var phi3: ModelConfiguration {
        var configuration = ModelConfiguration(
            family: .phi3, vocabularySize: 450, hiddenSize: 64, intermediateSize: 104, layerCount: 2, headCount: 4,
            keyValueHeadCount: 2, headDimension: 32,
            ropeScaling: .longRope(
                LongRopeScaling(
                    shortFactors: (0..<12).map { 1 + 0.05 * Double($0) },
                    longFactors: (0..<12).map { 1 + 0.9 * Double($0) }, originalMaxPositions: 90)),
            maxPositions: 512)
        configuration.partialRotaryFactor = 0.75
        return configuration
    }

    private static var olmo2: ModelConfiguration {
        ModelConfiguration(
            family: .olmo2, vocabularySize: 433, hiddenSize: 56, intermediateSize: 120, layerCount: 2, headCount: 6,
            keyValueHeadCount: 3, headDimension: 16, rmsNormEpsilon: 1e-5, maxPositions: 512, qkNorm: true)
    }

    private static var granite: ModelConfiguration {
        var configuration = ModelConfiguration(
            family: .granite, vocabularySize: 611, hiddenSize: 64, intermediateSize: 96, layerCount: 2, headCount: 8,
            keyValueHeadCount: 2, headDimension: 8, maxPositions: 512, tiedEmbeddings: true, mlpBias: true)
        configuration.multipliers.embedding = 6
        configuration.multipliers.residual = 0.4
        configuration.multipliers.attention = 0.2
        configuration.multipliers.logitDivisor = 2.5
        return configuration
    }

    private static var smolLM3: ModelConfiguration {
        var configuration = ModelConfiguration(
            family: .smolLM3, vocabularySize: 420, hiddenSize: 64, intermediateSize: 112, layerCount: 3, headCount: 4,
            keyValueHeadCount: 2, headDimension: 16, ropeTheta: 2_000_000,
            ropeScaling: .yarn(YarnScaling(factor: 4, originalMaxPositions: 128)), maxPositions: 512,
            tiedEmbeddings: true)
        configuration.layerKinds = .init(count: 3) { LayerKind(hasRope: $0 != 1) }
        return configuration
    }

    private static var qwen3MoE: ModelConfiguration {
        var configuration = ModelConfiguration(
            family: .qwen3MoE, vocabularySize: 389, hiddenSize: 64, intermediateSize: 96, layerCount: 2, headCount: 4,
            keyValueHeadCount: 2, headDimension: 16, maxPositions: 512, qkNorm: true)
        configuration.experts = ExpertShape(
            count: 7, perToken: 3, intermediateSize: 24, normalizesChosen: true, layers: [0, 1])
        return configuration
    }

    /// More experts than most batches have rows for, and a plain layer between two of experts.
    private static var qwen3MoEOfSomeLayers: ModelConfiguration {
        var configuration = ModelConfiguration(
            family: .qwen3MoE, vocabularySize: 401, hiddenSize: 56, intermediateSize: 104, layerCount: 3, headCount: 4,
            keyValueHeadCount: 1, headDimension: 8, maxPositions: 512, tiedEmbeddings: true, attentionInputBias: true,
            attentionOutputBias: true, qkNorm: true)
        configuration.experts = ExpertShape(
            count: 40, perToken: 2, intermediateSize: 16, normalizesChosen: false, layers: [0, 2])
        return configuration
    }

    private static var mistral: ModelConfiguration {
        var configuration = ModelConfiguration(
            family: .mistral, vocabularySize: 402, hiddenSize: 64, intermediateSize: 96, layerCount: 2, headCount: 4,
            keyValueHeadCount: 2, headDimension: 16, maxPositions: 512)
        configuration.slidingWindow = 37
        configuration.layerKinds = .init(count: 2) { _ in LayerKind(isSliding: true) }
        return configuration
    }
}
