/// The decoders of a definition, compiled: token after token becomes text.
///
/// A decoder of the Hugging Face library maps a list of tokens to a list of tokens, which are joined at the end. Here
/// each step gets one token at a time and keeps what it needs of those before, so that a whole text and one that comes
/// token by token are decoded by the same code.
struct DecoderSteps: Sendable {
    /// A step after one that joins all tokens works on the parts of that one token.
    enum Step: Sendable {
        case replace(Replacement)
        case strip(Stripping)
        case metaspace([UInt8], dropsFirst: Bool)
        case byteFallback
        case fuse
        case byteLevel
        case replaceToken(Substitution)
        case replaceWithin(Substitution)
        case stripWhole(Stripping)
        case metaspaceWithin([UInt8], drops: Bool)
    }

    struct Stripping: Sendable {
        var content: [UInt8]
        var start: Int
        var stop: Int
    }

    struct Substitution: Sendable {
        var pattern: [UInt8]
        var content: [UInt8]
    }

    let steps: [Step]

    /// `file` is named in errors.
    init(_ definition: [TokenizerDefinition.Decoder], file: String) throws(TokenizerError) {
        func unsupported(_ message: String) -> TokenizerError {
            TokenizerError(.unsupported, "\(file): decoder: \(message) is not supported")
        }
        var steps: [Step] = []
        var isFused = false
        var substitutes = false
        for part in definition {
            switch part {
            case .fuse:
                if !isFused { steps.append(.fuse) }
                isFused = true
            case .byteLevel:
                guard !isFused else { throw unsupported("ByteLevel after the tokens are joined") }
                steps.append(.byteLevel)
                isFused = true
            case .byteFallback:
                guard !isFused else { throw unsupported("ByteFallback after the tokens are joined") }
                steps.append(.byteFallback)
            case .metaspace(let metaspace):
                let replacement = Array(metaspace.replacement.utf8)
                let drops = metaspace.prependScheme != .never
                steps.append(
                    isFused
                        ? .metaspaceWithin(replacement, drops: drops) : .metaspace(replacement, dropsFirst: drops))
            case .strip(let content, let start, let stop):
                let stripping = Stripping(content: Array(content.utf8), start: start, stop: stop)
                steps.append(isFused ? .stripWhole(stripping) : .strip(stripping))
            case .replace(let pattern, let content):
                let replacement = try Replacement(pattern, with: content)
                guard !steps.allSatisfy(\.isPure) else {
                    steps.append(.replace(replacement))
                    continue
                }
                guard let literal = replacement.literal, !substitutes else {
                    throw unsupported("a Replace with a regular expression, or a second one, after other decoders")
                }
                // Several could make a text longer without bound.
                substitutes = true
                let substitution = Substitution(pattern: literal, content: replacement.content)
                steps.append(isFused ? .replaceWithin(substitution) : .replaceToken(substitution))
            }
        }
        self.steps = steps
    }

    /// Steps at the front that see nothing but a token itself; their result is a table of the tokenizer.
    private var pureCount: Int { steps.prefix(while: \.isPure).count }

    /// What a token is after the steps that see nothing but the token itself.
    /// - Throws: when a pattern gives up on it, or when it grows beyond all measure.
    func prepared(_ token: [UInt8]) throws(TokenizerError) -> [UInt8] {
        var token = token
        let limit = 64 * token.count + (1 << 12)
        for step in steps.prefix(pureCount) {
            switch step {
            case .replace(let replacement): token = try replacement.apply(token)
            case .strip(let stripping): token = stripping.apply(token)
            default: break
            }
            guard token.count <= limit else {
                throw TokenizerError(.malformed, "the tokenizer's decoder makes \(token.count) bytes of a token")
            }
        }
        if pureCount < steps.count, case .byteLevel = steps[pureCount] { return ByteAlphabet.decoded(token) }
        return token
    }

    /// The steps that remain for prepared tokens.
    var remaining: ArraySlice<Step> { steps[pureCount...] }

    /// Whether prepared tokens are the bytes of the text, one after the other.
    var isBytes: Bool {
        guard remaining.count == 1, case .byteLevel? = remaining.first else { return false }
        return true
    }
}

extension DecoderSteps.Step {
    /// Whether the step sees nothing but one token, and may take the time of a regular expression.
    fileprivate var isPure: Bool {
        switch self {
        case .replace, .strip: true
        default: false
        }
    }
}

extension DecoderSteps.Substitution {
    /// `token` with all occurrences replaced.
    func apply(_ token: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        var end = 0
        while let start = UTF8Text.find(pattern, in: token, from: end) {
            result += token[end..<start]
            result += content
            end = start + pattern.count
        }
        return result + token[end...]
    }
}

extension DecoderSteps.Stripping {
    /// A token without up to `start` characters `content` before and `stop` after it.
    func apply(_ token: [UInt8]) -> [UInt8] {
        var range = 0..<token.count
        var removed = 0
        while removed < start, token[range].starts(with: content) {
            range = range.lowerBound + content.count..<range.upperBound
            removed += 1
        }
        removed = 0
        while removed < stop, token[range].suffix(content.count).elementsEqual(content) {
            range = range.lowerBound..<range.upperBound - content.count
            removed += 1
        }
        return Array(token[range])
    }
}

extension ByteAlphabet {
    /// The bytes that the letters of a token stand for; the token's own when one of them stands for none.
    static func decoded(_ token: [UInt8]) -> [UInt8] {
        bytes(of: String(decoding: token, as: UTF8.self)) ?? token
    }
}
