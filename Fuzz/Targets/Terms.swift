import RunFiles

extension FuzzTarget {
    /// What a learner's record in its run's folder says, and who watches it makes of it.
    static let term = FuzzTarget(name: "term") { bytes in
        var watch = TermWatch(after: .seconds(10))
        _ = watch.saw(TermSight(number: 1, bytes: bytes), isDead: false, now: .zero)
        guard let record = TermRecord(bytes) else { return }
        guard record.term >= 1, record.after >= .zero, record.bytes.count == TermRecord.byteCount,
            TermRecord(record.bytes) == record
        else { throw BrokenPromise("a record is read as it was written") }
        guard record.owner.utf8.allSatisfy({ (0x20..<0x7f).contains($0) }) else {
            throw BrokenPromise("what a person reads of a holder is one line")
        }
    }
}
