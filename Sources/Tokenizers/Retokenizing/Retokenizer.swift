import Tokens

/// Reads what one model has written as another does: the same bytes, in the tokens of the other's tokenizer.
///
/// Where the tokens of a response are those that its own tokenizer makes of the text, the other side's are those that its
/// tokenizer makes of it. Where they are not (a model may spell a word in its letters), each token stands for itself: the
/// other side's token of the same bytes, or what its tokenizer makes of the token alone. So a spelling that the model
/// chose is graded as one, and does not get the probability of the word. Bytes that are no UTF-8 are tokens of single
/// bytes. With equal tokenizers every response comes out as it is.
package struct Retokenizer: Sendable {
    private let source: Tokenizer
    private let target: Tokenizer
    /// Tokens of `source` that play a part and have no text, with those of `target` that play it.
    private let roles: [Int32: Int32]
    /// Ordinary tokens of `target` by their bytes; none that ends what its model says.
    private let tokens: [[UInt8]: Int32]
    /// Those that do.
    private let stops: Set<Int32>
    /// The bytes of stop tokens that are text, such as the end of a line, and that no other token has: the other side
    /// cannot say them and go on.
    private let ends: Set<[UInt8]>

    /// A tokenizer with the tokens that end what its model says.
    package struct Side: Sendable {
        package var tokenizer: Tokenizer
        package var stopTokenIDs: [Int32]
        /// The stop token that its chat template writes behind an answer; nil: it writes none.
        package var endOfAnswer: Int32?

        /// - Parameter endOfAnswer: what the chat template writes behind an answer.
        package init(_ tokenizer: Tokenizer, endOfAnswer: String) {
            self.tokenizer = tokenizer
            stopTokenIDs = tokenizer.stopTokenIDs(endOfAnswer: endOfAnswer)
            self.endOfAnswer = tokenizer.endOfAnswerID(endOfAnswer)
        }
    }

    /// - Throws: ``TokenizerError`` where the two cannot be compared by their bytes; `sourceName` and `targetName` are
    ///   named in it.
    package init(
        from source: Side, named sourceName: String, to target: Side, named targetName: String
    ) throws(TokenizerError) {
        if let reason = source.tokenizer.reasonNotBytes(encodes: false) {
            throw TokenizerError(.unsupported, "\(sourceName): \(reason)")
        }
        if let reason = target.tokenizer.reasonNotBytes(encodes: true) {
            throw TokenizerError(.unsupported, "\(targetName): \(reason)")
        }
        guard source.stopTokenIDs.isEmpty || !target.stopTokenIDs.isEmpty else {
            throw TokenizerError(
                .unsupported, "\(targetName): no token ends its answers; name one with eos_token_id in its config.json")
        }
        self.source = source.tokenizer
        self.target = target.tokenizer
        var tokens: [[UInt8]: Int32] = [:], ends: Set<[UInt8]> = []
        let stops = Set(target.stopTokenIDs)
        for id in (0..<Int32(target.tokenizer.vocabularySize)).reversed() where !target.tokenizer.isSpecial(id) {
            guard let bytes = target.tokenizer.bytes(of: id), !bytes.isEmpty else { continue }
            if stops.contains(id) { ends.insert(bytes) } else { tokens[bytes] = id }
        }
        self.tokens = tokens
        self.stops = stops
        self.ends = ends.filter { tokens[$0] == nil }
        roles = Self.roles(source, target)
    }

    private static func roles(_ source: Side, _ target: Side) -> [Int32: Int32] {
        var roles: [Int32: Int32] = [:]
        func counterpart(_ id: Int32) -> Int32? {
            source.tokenizer.token(id).flatMap { target.tokenizer.id(of: $0) }
        }
        for id in 0..<Int32(source.tokenizer.vocabularySize) where source.tokenizer.isSpecial(id) {
            if let other = counterpart(id), target.tokenizer.isSpecial(other) { roles[id] = other }
        }
        let other = target.stopTokenIDs.first { $0 != target.endOfAnswer }
        for id in source.stopTokenIDs {
            if let same = counterpart(id), target.stopTokenIDs.contains(same) {
                roles[id] = same
            } else if id == source.endOfAnswer || other == nil || source.endOfAnswer == nil {
                roles[id] = target.endOfAnswer ?? other
            } else {
                roles[id] = other
            }
        }
        return roles
    }

    /// Ordinary tokens of the source that the target has, too, with whatever id.
    package var sharedTokens: (count: Int, total: Int) {
        let ordinary = (0..<Int32(source.vocabularySize)).filter { roles[$0] == nil }.compactMap {
            source.bytes(of: $0)
        }
        return (ordinary.count { tokens[$0] != nil }, ordinary.count)
    }

    /// Bytes that the other side can say in longer tokens alone, or that end what it says: what needs one has no grade.
    package var bytesWithoutToken: Int { (UInt8.min...UInt8.max).count { tokens[[$0]] == nil } }

    /// A response in the other side's tokens.
    /// - Parameter isCutOff: whether it ended because of its length.
    package func retokenize(_ ids: [Int32], isCutOff: Bool) -> RetokenizedResponse {
        var result = RetokenizedResponse()
        var start = 0
        for (index, id) in ids.enumerated() {
            let role = roles[id], bytes = source.bytes(of: id) ?? []
            guard role != nil || bytes.isEmpty || ends.contains(bytes) else { continue }
            appendText(ids[start..<index], to: &result)
            start = index + 1
            // A row of the model that is no token says nothing, and nobody else can say it; nor what would be the end.
            result.append(
                role.map { [$0] } ?? [],
                [TokenSpan(count: 1, otherCount: role == nil ? 0 : 1, isComparable: role != nil)])
        }
        appendText(ids[start...], to: &result)
        if isCutOff { result.leaveOpen() }
        return result
    }

    /// Tokens that have bytes, cut where those are no UTF-8.
    private func appendText(_ ids: ArraySlice<Int32>, to result: inout RetokenizedResponse) {
        guard !ids.isEmpty else { return }
        let pieces = ids.map { source.bytes(of: $0) ?? [] }
        let isBroken = IllFormed.marks(of: pieces)
        var start = 0
        while start < pieces.count {
            var end = start + 1
            while end < pieces.count, isBroken[end] == isBroken[start] { end += 1 }
            let run = ids[ids.startIndex + start..<ids.startIndex + end]
            if isBroken[start] {
                appendEach(run, pieces[start..<end], to: &result)
            } else {
                appendWords(Array(run), Array(pieces[start..<end]), to: &result)
            }
            start = end
        }
    }

    /// Tokens of a text: those in a row that its own tokenizer makes of it together, the others one by one.
    private func appendWords(_ ids: [Int32], _ pieces: [[UInt8]], to result: inout RetokenizedResponse) {
        let bytes = Array(pieces.joined())
        guard let text = String(validating: bytes, as: UTF8.self), let own = try? source.encode(text) else {
            return appendEach(ids[...], pieces[...], to: &result)
        }
        if own == ids {
            if !appendTogether(text, bytes, pieces, to: &result) { appendEach(ids[...], pieces[...], to: &result) }
            return
        }
        let ownPieces = own.map { source.bytes(of: $0) ?? [] }
        guard ownPieces.joined().elementsEqual(bytes) else {
            return appendEach(ids[...], pieces[...], to: &result)
        }
        var place = 0, ownPlace = 0, row = 0
        for span in TokenSpan.aligned(pieces.map(\.count), ownPieces.map(\.count)) {
            let isOwn = span.isOneToOne && ids[place] == own[ownPlace]
            if !isOwn {
                appendRow(ids[row..<place], pieces[row..<place], to: &result)
                let end = place + span.count
                appendEach(ids[place..<end], pieces[place..<end], to: &result)
                row = end
            }
            place += span.count
            ownPlace += span.otherCount
        }
        appendRow(ids[row...], pieces[row...], to: &result)
    }

    /// A part of a text whose tokens may be those that its own tokenizer makes of that part alone.
    private func appendRow(
        _ ids: ArraySlice<Int32>, _ pieces: ArraySlice<[UInt8]>, to result: inout RetokenizedResponse
    ) {
        let bytes = Array(pieces.joined())
        guard let text = String(validating: bytes, as: UTF8.self), let own = try? source.encode(text),
            own.elementsEqual(ids), appendTogether(text, bytes, Array(pieces), to: &result)
        else { return appendEach(ids, pieces, to: &result) }
    }

    /// A text as the other tokenizer reads it.
    /// - Returns: whether that has the text's bytes, and no tokens that play a part.
    private func appendTogether(
        _ text: String, _ bytes: [UInt8], _ pieces: [[UInt8]], to result: inout RetokenizedResponse
    ) -> Bool {
        guard let ids = ordinaryIDs(of: text, bytes) else { return false }
        result.append(
            ids, TokenSpan.aligned(pieces.map(\.count), ids.map { target.bytes(of: $0)?.count ?? 0 }))
        return true
    }

    /// Tokens that stand for themselves.
    private func appendEach(
        _ ids: ArraySlice<Int32>, _ pieces: ArraySlice<[UInt8]>, to result: inout RetokenizedResponse
    ) {
        for (id, piece) in zip(ids, pieces) {
            let read =
                token(for: id, piece).map { [$0] }
                ?? String(validating: piece, as: UTF8.self).flatMap { ordinaryIDs(of: $0, piece) }
                ?? bytewise(piece)
            result.append(
                read ?? [], [TokenSpan(count: 1, otherCount: read?.count ?? 0, isComparable: read != nil)])
        }
    }

    /// Tokens of single bytes; nil where the other side lacks one.
    private func bytewise(_ piece: [UInt8]) -> [Int32]? {
        let ids = piece.compactMap { tokens[[$0]] }
        return ids.count == piece.count ? ids : nil
    }

    /// The other side's token of the same bytes; of several the one that is spelled alike.
    private func token(for id: Int32, _ piece: [UInt8]) -> Int32? {
        guard let any = tokens[piece] else { return nil }
        guard let same = source.token(id).flatMap({ target.id(of: $0) }), isOrdinary(same),
            target.bytes(of: same) == piece
        else { return any }
        return same
    }

    private func isOrdinary(_ id: Int32) -> Bool { !target.isSpecial(id) && !stops.contains(id) }

    /// What the other tokenizer makes of a text; nil where it changes the text, or finds in it a token that plays a part,
    /// which the model has only spelled.
    private func ordinaryIDs(of text: String, _ bytes: [UInt8]) -> [Int32]? {
        guard let ids = try? target.encode(text) else { return nil }
        var place = 0
        for id in ids {
            guard isOrdinary(id), let piece = target.bytes(of: id), !piece.isEmpty, piece.count <= bytes.count - place,
                bytes[place..<place + piece.count].elementsEqual(piece)
            else { return nil }
            place += piece.count
        }
        return place == bytes.count ? ids : nil
    }
}

/// Tokens some bytes of which are in no whole character.
private enum IllFormed {
    static func marks(of pieces: [[UInt8]]) -> [Bool] {
        var marks = [Bool](repeating: false, count: pieces.count)
        var parser = Unicode.UTF8.ForwardParser(), bytes = pieces.joined().makeIterator()
        var piece = 0, used = 0
        /// Goes on by so many bytes, and marks the tokens that they are in.
        func advance(_ count: Int, isBroken: Bool) {
            for _ in 0..<count {
                while used == pieces[piece].count { (piece, used) = (piece + 1, 0) }
                used += 1
                if isBroken { marks[piece] = true }
            }
        }
        while true {
            switch parser.parseScalar(from: &bytes) {
            case .valid(let scalar): advance(scalar.count, isBroken: false)
            case .error(let length): advance(length, isBroken: true)
            case .emptyInput: return marks
            }
        }
    }
}
