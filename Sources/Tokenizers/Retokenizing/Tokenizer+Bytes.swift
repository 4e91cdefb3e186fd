import JSON

extension Tokenizer {
    /// Why the bytes of a text are not those of its tokens, one after the other; nil where they are.
    ///
    /// - Parameter encodes: whether it also has to give the bytes of texts that it reads.
    package func reasonNotBytes(encodes: Bool) -> String? {
        guard decodesBytes else {
            return "its tokens have no bytes of their own: what one decodes to depends on the others (SentencePiece)"
        }
        guard encodes else { return nil }
        if let missing = bytesWithoutToken.first(where: { (0x20..<0x7F).contains($0) || $0 == 0x0A }) {
            return "it has no token of the byte \(missing) alone"
        }
        for probe in Self.byteProbes {
            guard let ids = try? encode(probe), ids.flatMap({ bytes(of: $0) ?? [] }).elementsEqual(probe.utf8) else {
                return "the tokens of \(JSONValue.string(probe).text(pretty: false)) have other bytes than that text"
            }
        }
        return nil
    }

    /// The bytes of a token; nil for ids without one. Of use where ``reasonNotBytes(encodes:)`` is nil.
    package func bytes(of id: Int32) -> [UInt8]? { preparedToken(id) }

    /// Bytes that no ordinary token is, so that only longer tokens can say them: a trainer that is not given all bytes to
    /// begin with keeps those that its texts have (SmolLM2 lacks 21 of them: controls and those of rare characters).
    package var bytesWithoutToken: [UInt8] {
        let known = Set((0..<Int32(vocabularySize)).compactMap { isSpecial($0) ? nil : singleByte($0) })
        return (UInt8.min...UInt8.max).filter { !known.contains($0) }
    }

    private func singleByte(_ id: Int32) -> UInt8? {
        guard let bytes = bytes(of: id), bytes.count == 1 else { return nil }
        return bytes[0]
    }

    /// Texts that normalizers and prefixes change: letters that have a lower case, a compatibility character, characters
    /// that are composed, spaces at both ends. NFC leaves them as they are, and with them what most people write.
    private static let byteProbes = [
        "Hello, World 12", " two  spaces\n\tand a line ", "\u{FB01} \u{2460}", "\u{E9}\u{AC00}", "\u{1F600}",
    ]
}
