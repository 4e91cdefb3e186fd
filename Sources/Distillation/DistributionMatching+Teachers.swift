extension DistributionMatching {
    /// How the logits of one response's classes are pulled by several teachers: L = (c/N) sum_i sum_k w_k D(p_i, q_ik), the
    /// shares w_k adding up to 1.
    ///
    /// Each teacher is compared over classes of its own, the tokens that it lists and all others together. A class of its
    /// tail that another one lists is pulled by its part of that tail, as each of the tail's tokens is: so the gradient is
    /// the sum of the gradients of the teachers' divergences. Of the forward KL, that is the gradient of the divergence
    /// from the teachers' mean, and of the reverse KL that from their logarithmic pool.
    /// - Parameters:
    ///   - current: log p of the classes of ``ClassLists`` and of the tail, which is last, position by position.
    ///   - tokenCount: N.
    /// - Returns: one a class, as `current` has them.
    func pulls(
        by lists: [SharedTopTokens], current: [Float], tokenCount: Int, statistics: inout BatchStatistics
    ) -> [Float] {
        let classes = ClassLists(lists.map(\.top)), scale = weight(tokenCount: tokenCount)
        var pulls: [Float] = []
        pulls.reserveCapacity(current.count)
        var first = 0
        for (position, count) in classes.counts.enumerated() {
            let ids = classes.ids[first..<first + count]
            let own = current[pulls.count...pulls.count + count].map(Double.init)
            first += count
            var sums = [Double](repeating: 0, count: own.count)
            var value = 0.0, tail = 0.0, teacherTail = 0.0
            for list in lists {
                let compared = Position(own, ids, list.top, at: position)
                let share = list.share, part = compared.divergence(divergence, share: share, addingTo: &sums)
                value += share * part
                tail += share * probability(compared.tail)
                teacherTail += share * probability(Double(list.top.tails[position]))
            }
            statistics.add(divergence: value, loss: coefficient * value, tail: tail, teacherTail: teacherTail)
            pulls += sums.map { Float(scale * $0) }
        }
        return pulls
    }

    /// One position of a student and of one of its teachers, who lists some of the classes.
    private struct Position {
        /// Log p of all classes, that of the tail last.
        private let own: [Double]
        /// The places in `own` of what the teacher lists, and of the others, the tail's last.
        private let listed: [Int]
        private let others: [Int]
        /// Log q of what it lists and, last, of its tail.
        private let teacher: [Double]
        /// Log p of all that the teacher does not list.
        let tail: Double

        init(_ own: [Double], _ ids: ArraySlice<Int32>, _ top: TopTokens, at position: Int) {
            self.own = own
            var listed: [Int] = [], others: [Int] = [], rest = top.ids(at: position)
            // Both are ascending, and what it lists is among the classes.
            for (place, id) in ids.enumerated() {
                if rest.first == id {
                    listed.append(place)
                    rest.removeFirst()
                } else {
                    others.append(place)
                }
            }
            others.append(ids.count)
            (self.listed, self.others) = (listed, others)
            teacher = top.classes(at: position)
            tail = others.count == 1 ? own[own.count - 1] : logSumExp(others.map { own[$0] })
        }

        /// The divergence; what the classes are pulled by is added to `sums`, by the teacher's share.
        func divergence(_ divergence: Divergence, share: Double, addingTo sums: inout [Double]) -> Double {
            var value = 0.0
            for (index, place) in listed.enumerated() {
                let term = divergence.term(student: own[place], teacher: teacher[index])
                value += term.value
                sums[place] += share * term.pull
            }
            let term = divergence.term(student: tail, teacher: teacher[listed.count])
            value += term.value
            for place in others {
                // A tail without probability pulls nothing.
                let part = others.count == 1 ? 1 : tail.isFinite ? probability(own[place] - tail) : 0
                sums[place] += share * (part * term.pull)
            }
            return value
        }
    }
}
