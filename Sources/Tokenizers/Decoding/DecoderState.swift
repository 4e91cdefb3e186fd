/// A text that is being decoded: prepared tokens in, text out.
struct DecoderState: Sendable {
    private var steps: [StepState]

    /// What a step keeps of the tokens before.
    private struct StepState: Sendable {
        let step: DecoderSteps.Step
        var isFirst = true
        /// Bytes that cannot be given on yet.
        var held: [UInt8] = []
        /// Characters removed at the start, or -1 once another has come.
        var removed = 0
        /// Characters at the end that may yet have to be removed.
        var heldCount = 0
    }

    init(_ steps: ArraySlice<DecoderSteps.Step>) { self.steps = steps.map { StepState(step: $0) } }

    /// Appends to `out` the text that this token completes.
    mutating func push(_ token: [UInt8], into out: inout [UInt8]) { push(token, at: 0, &out) }

    /// Appends what is left.
    mutating func finish(into out: inout [UInt8]) {
        for index in steps.indices { finish(at: index, &out) }
    }

    private mutating func push(_ token: [UInt8], at index: Int, _ out: inout [UInt8]) {
        guard index < steps.count else {
            out.append(contentsOf: token)
            return
        }
        let next = index + 1
        switch steps[index].step {
        case .replace:
            // Only at the front, where tokens are prepared.
            push(token, at: next, &out)
        case .replaceToken(let substitution): push(substitution.apply(token), at: next, &out)
        case .strip(let stripping): push(stripping.apply(token), at: next, &out)
        case .metaspace(let replacement, let dropsFirst):
            let drops = dropsFirst && steps[index].isFirst
            steps[index].isFirst = false
            push(Self.spaced(token, replacement, drops: drops), at: next, &out)
        case .metaspaceWithin(let replacement, let drops):
            push(Self.spaced(token, replacement, drops: drops), at: next, &out)
        case .byteFallback:
            if let byte = Self.byte(token) {
                steps[index].held.append(byte)
            } else {
                flushBytes(at: index, &out)
                push(token, at: next, &out)
            }
        case .fuse: push(token, at: next, &out)
        case .byteLevel:
            // At the front tokens are prepared.
            steps[index].held += index == 0 ? token : ByteAlphabet.decoded(token)
            let bytes = steps[index].held
            let incomplete = UTF8Text.incompleteSuffix(bytes)
            steps[index].held = Array(bytes.suffix(incomplete))
            push(Array(String(decoding: bytes.dropLast(incomplete), as: UTF8.self).utf8), at: next, &out)
        case .replaceWithin(let substitution):
            steps[index].held += token
            push(replaced(at: index, substitution, isLast: false), at: next, &out)
        case .stripWhole(let stripping): push(stripped(token, at: index, stripping), at: next, &out)
        }
    }

    private mutating func finish(at index: Int, _ out: inout [UInt8]) {
        let next = index + 1
        switch steps[index].step {
        case .byteFallback: flushBytes(at: index, &out)
        case .byteLevel:
            push(Array(String(decoding: steps[index].held, as: UTF8.self).utf8), at: next, &out)
            steps[index].held = []
        case .replaceWithin(let substitution):
            push(replaced(at: index, substitution, isLast: true), at: next, &out)
        case .replace, .replaceToken, .strip, .metaspace, .fuse, .stripWhole, .metaspaceWithin: break
        }
    }

    /// Bytes in a row are one text when they are UTF-8, and as many replacement characters when they are not.
    private mutating func flushBytes(at index: Int, _ out: inout [UInt8]) {
        let bytes = steps[index].held
        guard !bytes.isEmpty else { return }
        steps[index].held = []
        if String(validating: bytes, as: UTF8.self) != nil {
            push(bytes, at: index + 1, &out)
        } else {
            for _ in bytes { push(Array("\u{FFFD}".utf8), at: index + 1, &out) }
        }
    }

    /// The byte of a token like `<0x0A>`.
    private static func byte(_ token: [UInt8]) -> UInt8? {
        guard token.count == 6, token.starts(with: Array("<0x".utf8)), token[5] == UInt8(ascii: ">") else { return nil }
        return UInt8(String(decoding: token[3..<5], as: UTF8.self), radix: 16)
    }

    private static func spaced(_ token: [UInt8], _ replacement: [UInt8], drops: Bool) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(token.count)
        var position = 0
        while position < token.count {
            if token[position] == replacement[0], token[position...].starts(with: replacement) {
                if !drops { result.append(UInt8(ascii: " ")) }
                position += replacement.count
            } else {
                result.append(token[position])
                position += 1
            }
        }
        return result
    }

    /// Replaces what can be told by now; keeps the end, which may begin a match.
    private mutating func replaced(
        at index: Int, _ substitution: DecoderSteps.Substitution, isLast: Bool
    ) -> [UInt8] {
        let text = steps[index].held
        var result: [UInt8] = []
        var end = 0
        while let start = UTF8Text.find(substitution.pattern, in: text, from: end) {
            result += text[end..<start]
            result += substitution.content
            end = start + substitution.pattern.count
        }
        // Whole characters only: steps that follow look at them.
        var kept = isLast ? 0 : min(substitution.pattern.count - 1, text.count - end)
        while kept > 0, text[text.count - kept] & 0xC0 == 0x80 { kept -= 1 }
        result += text[end..<text.count - kept]
        steps[index].held = Array(text.suffix(kept))
        return result
    }

    /// Leaves out the characters at the start of the whole text, and holds those that may be at its end.
    private mutating func stripped(
        _ token: [UInt8], at index: Int, _ stripping: DecoderSteps.Stripping
    ) -> [UInt8] {
        var result: [UInt8] = []
        var position = 0
        while position < token.count {
            let length = min(UTF8Text.length(lead: token[position]), token.count - position)
            let character = token[position..<position + length]
            position += length
            let isContent = character.elementsEqual(stripping.content)
            if isContent, steps[index].removed >= 0, steps[index].removed < stripping.start {
                steps[index].removed += 1
                continue
            }
            steps[index].removed = -1
            guard isContent, stripping.stop > 0 else {
                for _ in 0..<steps[index].heldCount { result += stripping.content }
                steps[index].heldCount = 0
                result += character
                continue
            }
            if steps[index].heldCount < stripping.stop {
                steps[index].heldCount += 1
            } else {
                result += stripping.content
            }
        }
        return result
    }
}

extension UTF8Text {
    /// Length of the start of a character that ends `bytes` and could still become one.
    static func incompleteSuffix(_ bytes: [UInt8]) -> Int {
        for length in 1...3 where length <= bytes.count {
            let lead = bytes[bytes.count - length]
            if lead & 0xC0 == 0x80 { continue }
            let needed: Int
            switch lead {
            case 0xC2...0xDF: needed = 2
            case 0xE0...0xEF: needed = 3
            case 0xF0...0xF4: needed = 4
            default: return 0
            }
            guard length < needed else { return 0 }
            if length > 1 {
                // The second byte has a narrower range after some leads (no overlong forms, surrogates, > U+10FFFF).
                let second = bytes[bytes.count - length + 1]
                switch lead {
                case 0xE0 where second < 0xA0, 0xED where second > 0x9F, 0xF0 where second < 0x90,
                    0xF4 where second > 0x8F:
                    return 0
                default: break
                }
            }
            return length
        }
        return 0
    }
}
