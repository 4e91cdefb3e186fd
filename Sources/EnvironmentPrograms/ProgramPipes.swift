import CPlatform
import Glibc

/// The three pipes between this process and a program.
///
/// Used by one thread, and closed by it; the ends of this process never block.
final class ProgramPipes: @unchecked Sendable {
    /// The program's own ends.
    let theirs: (input: Int32, output: Int32, errors: Int32)
    /// Where its input is written, and its output and its errors are read.
    let input, output, errors: Int32
    private var open: Set<Int32>

    /// Nil where there are no more descriptors; errno says why.
    init?() {
        var pairs: [[Int32]] = []
        for _ in 0..<3 {
            var pair: [Int32] = [-1, -1]
            guard cplatform_pipe(&pair) == 0 else {
                let code = errno
                for descriptor in pairs.joined() { Glibc.close(descriptor) }
                errno = code
                return nil
            }
            pairs.append(pair)
        }
        theirs = (pairs[0][0], pairs[1][1], pairs[2][1])
        (input, output, errors) = (pairs[0][1], pairs[1][0], pairs[2][0])
        open = Set(pairs.joined())
        for descriptor in [input, output, errors] { _ = fcntl(descriptor, F_SETFL, O_NONBLOCK) }
    }

    deinit { close() }

    func closeTheirs() { for descriptor in [theirs.input, theirs.output, theirs.errors] { close(descriptor) } }

    func close() { for descriptor in open { close(descriptor) } }

    private func close(_ descriptor: Int32) {
        if open.remove(descriptor) != nil { Glibc.close(descriptor) }
    }

    /// Reads what is there, a bounded part of it: who writes without end is read again later.
    /// - Returns: whether more may come.
    static func read(_ descriptor: Int32, _ take: (ArraySlice<UInt8>) -> Void) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        for _ in 0..<16 {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count == 0 { return false }
            guard count > 0 else { return errno == EAGAIN || errno == EINTR }
            take(buffer[..<count])
        }
        return true
    }

    /// Writes as much as there is room for.
    /// - Returns: what is left; nothing where nobody reads any more, of which the output's end tells.
    static func write(_ bytes: ArraySlice<UInt8>, to descriptor: Int32) -> ArraySlice<UInt8> {
        let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        if count >= 0 { return bytes.dropFirst(count) }
        return errno == EAGAIN || errno == EINTR ? bytes : []
    }
}
