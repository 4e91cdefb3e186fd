import Transformers

/// Caches of running sequences under new weights.
extension GenerationEngine {
    /// Computes keys and values anew that other weights than the present ones have computed: what is drawn next has the
    /// bits of a sequence that these weights have read from its beginning. Samples of one prompt share its pages, as when
    /// they started.
    func renewCaches() {
        let old = running.indices.filter { running[$0].weightChanges != weightChanges }
        guard !old.isEmpty else { return }
        for index in old { release(running[index].pages) }
        let pool = model.transformer.pool
        var prompts: [Beginning: [Int32]] = [:]
        var pieces: [Piece] = []
        for index in old {
            let beginning = Beginning(ids: running[index].request.promptIDs, isLong: running[index].isLong)
            guard prompts[beginning] == nil else { continue }
            let pages = pool.allocate(positions: beginning.ids.count)
            prompts[beginning] = pages
            pieces.append(Piece(ids: beginning.ids[...], start: 0, pages: pages, isLong: beginning.isLong))
        }
        compute(pieces)
        pieces.removeAll()
        for index in old {
            let sequence = running[index], prompt = sequence.request.promptIDs
            let shared = prompts[Beginning(ids: prompt, isLong: sequence.isLong)] ?? []
            // The newest token is not in the cache yet.
            let drawn = sequence.ids.prefix(sequence.cached - prompt.count)
            var copies: [(source: Int32, destination: Int32)] = []
            let pages = pool.allocate(continuing: shared, count: prompt.count, by: drawn.count, copies: &copies)
            for copy in copies { pool.copy(from: copy.source, to: copy.destination) }
            running[index].pages = pages
            running[index].weightChanges = weightChanges
            if !drawn.isEmpty {
                pieces.append(Piece(ids: drawn, start: prompt.count, pages: pages, isLong: sequence.isLong))
            }
        }
        compute(pieces)
        for pages in prompts.values { release(pages) }
    }

    /// A prompt, as its keys are turned.
    private struct Beginning: Hashable {
        let ids: [Int32]
        let isLong: Bool
    }

    /// Tokens at positions from `start`, and the pages that hold them and all before.
    private struct Piece {
        let ids: ArraySlice<Int32>
        let start: Int
        let pages: [Int32]
        let isLong: Bool
    }

    /// Fills the pages, by passes of about as many tokens as one step takes in.
    private func compute(_ pieces: [Piece]) {
        var batch = TokenBatch()
        for piece in pieces {
            if !batch.ids.isEmpty, batch.ids.count + piece.ids.count > Self.prefillTokensPerStep {
                _ = model.transformer.forward(batch)
                batch.removeAll()
            }
            batch.append(piece.ids, startPosition: piece.start, pages: piece.pages, isLong: piece.isLong)
        }
        if !batch.ids.isEmpty { _ = model.transformer.forward(batch) }
    }
}
