import Compute
import Distillation

extension Grade {
    /// Those of parts of one response, one after the other; none is one of no token.
    init(joining parts: [Grade], _ request: GradeRequest) {
        let tops = parts.compactMap(\.top)
        self.init(
            logprobs: parts.flatMap(\.logprobs),
            top: request.topCount == 0
                ? nil
                : TopTokens(
                    count: request.topCount, ids: tops.flatMap(\.ids), logprobs: tops.flatMap(\.logprobs),
                    tails: tops.flatMap(\.tails)))
    }

    /// The grade of some of the tokens.
    func part(_ positions: Range<Int>) -> Grade {
        Grade(
            logprobs: Array(logprobs[positions]),
            top: top.map { top in
                let listed = positions.lowerBound * top.count..<positions.upperBound * top.count
                return TopTokens(
                    count: top.count, ids: Array(top.ids[listed]), logprobs: Array(top.logprobs[listed]),
                    tails: Array(top.tails[positions]))
            })
    }
}

extension TopTokens {
    /// - Parameter count: the tokens that every row lists.
    init(_ classes: HeadClasses, count: Int) {
        let ranges = (0..<classes.rowCount).map(classes.range)
        self.init(
            count: count, ids: classes.ids, logprobs: ranges.flatMap { classes.logprobs[$0.dropLast()] },
            tails: ranges.map { classes.logprobs[$0.upperBound - 1] })
    }
}
