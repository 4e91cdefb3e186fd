import Files
import Glibc
import Locking
import Wording

/// Another learner owns the run's folder now.
package struct TermLostError: MessageError, Equatable {
    package var message: String
}

/// A term that this process holds, until another takes the run over.
package final class HeldTerm: Sendable {
    /// Where everything has its place that is about to be put into the run's folder.
    package let folder: String
    package let number: Int
    private let terms: TermFolder
    private let record: Locked<TermRecord>
    /// Its lock tells other processes of this machine that this one lives.
    private let file: OpenFile

    init(_ record: TermRecord, _ folder: String, of terms: TermFolder, _ file: consuming OpenFile) {
        self.folder = folder
        number = record.term
        self.terms = terms
        self.record = Locked(record)
        self.file = file
    }

    package var after: Duration { record.withLock { $0.after } }

    /// Writes a holder's record as a new file, locked from before it has its name.
    static func write(_ record: TermRecord, into folder: String) throws(FileError) -> OpenFile {
        let path = "\(folder)/\(TermFolder.holder)", temporary = "\(folder)/.\(TermFolder.holder)-\(record.holder)"
        let file = try OpenFile(
            temporary, .readWrite, [.create, .exclusiveCreate, .noFollow],
            permissions: [.ownerReadWrite, .groupRead, .otherRead])
        // A file system without locks costs the quick look at whether a process of this machine lives.
        _ = flock(file.descriptor.rawValue, LOCK_EX | LOCK_NB)
        try file.write(record.bytes)
        try file.sync()
        try FileTree.rename(temporary, to: path)
        return file
    }

    /// Checks that the run is still this process's.
    ///
    /// A check alone proves nothing, for another may take over right after it; it keeps what goes on behind it to what was
    /// placed in ``folder`` before, and that is gone then.
    package func check() throws(TermLostError) {
        guard let bytes = TermFolder.record(in: folder), isOwn(bytes) else { throw lost() }
    }

    /// Gives a sign of life.
    /// - Throws: `TermLostError` when another has taken over; `FileError` when that cannot be told.
    package func renew() throws {
        try write(
            record.withLock { record in
                record.beat += 1
                return record
            })
    }

    /// Ends the term: nobody is to wait for another sign of life.
    package func end(as state: TermRecord.State, reason: String) throws {
        try write(
            record.withLock { record in
                record.state = state
                record.reason = reason
                record.beat += 1
                return record
            })
    }

    /// Leaves the run's folder as if it had never had a term: for a start that has failed before anything was recorded.
    package func withdraw() {
        guard (try? check()) != nil else { return }
        try? terms.remove(folder)
    }

    private func write(_ record: TermRecord) throws {
        let file = try open()
        guard isOwn(try file.readAll(limit: TermRecord.byteCount)) else { throw lost() }
        guard lseek(file.descriptor.rawValue, 0, SEEK_SET) == 0 else { throw FileError(file.path, code: errno) }
        try file.write(record.bytes)
    }

    /// Opens the record by its path, never by the file that is open: it is found only where the term still has its name.
    private func open() throws -> OpenFile {
        do {
            return try OpenFile("\(folder)/\(TermFolder.holder)", .readWrite, .noFollow)
        } catch {
            if let code = error.code?.rawValue, [ENOENT, ENOTDIR, ESTALE].contains(code) { throw lost() }
            throw error
        }
    }

    private func isOwn(_ bytes: [UInt8]) -> Bool { record.withLock { $0.isSame(asIn: bytes) } }

    private func lost() -> TermLostError {
        let other = try? terms.sight()?.record
        return TermLostError(
            message: "\(terms.run.path): another learner has taken the run over"
                + (other.map { " (\($0.owner))" } ?? "")
                + "; this one, of term \(number), ends and records nothing more")
    }
}
