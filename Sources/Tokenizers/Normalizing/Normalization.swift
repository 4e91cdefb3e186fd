/// A text on its way through the normalizers.
struct NormalizedText {
    /// Valid UTF-8.
    var bytes: [UInt8]
    /// How many bytes at the start stand for what the user's text itself begins with: "first" of Metaspace asks.
    var leading: Int

    /// `isStart`: the user's text begins here.
    init(_ bytes: [UInt8], isStart: Bool) {
        self.bytes = bytes
        leading = isStart ? bytes.first.map(UTF8Text.length) ?? 0 : 0
    }
}

/// The normalizers of a definition, compiled.
struct Normalization: Sendable {
    private enum Step: Sendable {
        case form(String.Form)
        case lowercase
        case strip(left: Bool, right: Bool)
        case prepend([UInt8])
        case replace(Replacement)
    }

    private let steps: [Step]

    var isEmpty: Bool { steps.isEmpty }

    init(_ definition: [TokenizerDefinition.Normalizer]) throws(TokenizerError) {
        var steps: [Step] = []
        for part in definition {
            switch part {
            case .nfc: steps.append(.form(.nfc))
            case .nfd: steps.append(.form(.nfd))
            case .nfkc: steps.append(.form(.nfkc))
            case .nfkd: steps.append(.form(.nfkd))
            case .lowercase: steps.append(.lowercase)
            case .strip(let left, let right): steps.append(.strip(left: left, right: right))
            case .prepend(let text): steps.append(.prepend(Array(text.utf8)))
            case .replace(let pattern, let content): steps.append(.replace(try Replacement(pattern, with: content)))
            }
        }
        self.steps = steps
    }

    /// Normalises a text. Throws when a pattern gives up, or when the text grows beyond all measure.
    func apply(_ text: inout NormalizedText) throws(TokenizerError) {
        let limit = 64 * text.bytes.count + (1 << 16)
        for step in steps {
            switch step {
            case .form(let form): Self.apply(form, &text)
            case .lowercase: Self.lowercase(&text)
            case .strip(let left, let right): Self.strip(&text, left: left, right: right)
            case .prepend(let content):
                guard !text.bytes.isEmpty else { continue }
                text.bytes.insert(contentsOf: content, at: 0)
                if text.leading > 0 { text.leading += content.count }
            case .replace(let replacement):
                var leading = 0
                text.bytes = try replacement.apply(text.bytes, leading: text.leading, newLeading: &leading)
                text.leading = leading
            }
            guard text.bytes.count <= limit else {
                throw TokenizerError(
                    .pattern, "the tokenizer's normalizer makes \(text.bytes.count) bytes of a much shorter text")
            }
        }
    }

    private static func apply(_ form: String.Form, _ text: inout NormalizedText) {
        // ASCII is in all four forms.
        guard text.bytes.contains(where: { $0 >= 0x80 }) else { return }
        func normalized(_ bytes: some Collection<UInt8>) -> [UInt8] {
            Array(form.apply(String(decoding: bytes, as: UTF8.self)).utf8)
        }
        let leading = text.leading > 0 ? normalized(text.bytes[..<text.leading]).count : 0
        text.bytes = normalized(text.bytes)
        // What is composed with the first character belongs to it.
        text.leading = text.leading > 0 ? max(leading, text.bytes.first.map(UTF8Text.length) ?? 0) : 0
    }

    private static func lowercase(_ text: inout NormalizedText) {
        guard text.bytes.contains(where: { $0 >= 0x80 }) else {
            for index in text.bytes.indices where (0x41...0x5A).contains(text.bytes[index]) {
                text.bytes[index] |= 0x20
            }
            return
        }
        var result: [UInt8] = []
        result.reserveCapacity(text.bytes.count)
        var position = 0
        var leading = 0
        for scalar in String(decoding: text.bytes, as: UTF8.self).unicodeScalars {
            // Each scalar by itself: a final sigma is a sigma.
            result.append(contentsOf: scalar.properties.lowercaseMapping.utf8)
            position += UTF8.width(scalar)
            if position <= text.leading { leading = result.count }
        }
        text.bytes = result
        text.leading = leading
    }

    private static func strip(_ text: inout NormalizedText, left: Bool, right: Bool) {
        let scalars = Array(String(decoding: text.bytes, as: UTF8.self).unicodeScalars)
        var end = scalars.count
        var start = 0
        if left { while start < end, scalars[start].properties.isWhitespace { start += 1 } }
        if right { while end > start, scalars[end - 1].properties.isWhitespace { end -= 1 } }
        let removed = scalars[..<start].reduce(0) { $0 + UTF8.width($1) }
        let kept = scalars[start..<end].reduce(0) { $0 + UTF8.width($1) }
        text.bytes = Array(text.bytes[removed..<removed + kept])
        text.leading = min(max(0, text.leading - removed), text.bytes.count)
    }
}

extension String {
    /// The Unicode normalization forms.
    enum Form: Sendable {
        case nfc, nfd, nfkc, nfkd

        func apply(_ text: String) -> String {
            switch self {
            case .nfc: text.normalizedNFC
            case .nfd: text.normalizedNFD
            case .nfkc: text.compatibilityMapped.normalizedNFC
            case .nfkd: text.compatibilityMapped.normalizedNFD
            }
        }
    }
}
