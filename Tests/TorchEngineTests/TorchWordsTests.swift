import Engines
import Foundation
import TestSupport
import Testing
import TorchEngine

@Suite struct TorchWordsTests {
    private let report = """
        E1128 torch/distributed/elastic/multiprocessing/api.py:1] failed (exitcode: -9) local_rank: 1 (pid: 4242)
        ============================================================
        opd_torch FAILED
        ------------------------------------------------------------
        Failures:
          <NO_OTHER_FAILURES>
        ------------------------------------------------------------
        Root Cause (first observed failure):
        [0]:
          time      : 2026-11-28_05:00:00
          host      : machine
          rank      : 1 (local_rank: 1)
          exitcode  : -9 (pid: 4242)
          error_file: <N/A>
          traceback : Signal 9 (SIGKILL) received by PID 4242
        ============================================================
        """

    private func lines(_ text: String) -> [String] { text.split(separator: "\n").map(String.init) }

    @Test func aRankThatDiedIsNamedWithWhatToChange() {
        let killed = TorchWords.reason(in: lines(report))
        #expect(killed?.hasPrefix("rank 1 was killed by signal 9") == true)
        #expect(killed?.contains("training.token_budget") == true && killed?.contains("torch.recompute") == true)
        // Another try may have more luck; one that says itself that memory is out has none.
        #expect(killed?.contains("out of memory") == false)
        let other = report.replacing("exitcode  : -9", with: "exitcode  : 17")
        #expect(TorchWords.reason(in: lines(other)) == "rank 1 ended with exit status 17")
        let fault = report.replacing("exitcode  : -9", with: "exitcode  : -11")
        #expect(TorchWords.reason(in: lines(fault)) == "rank 1 was killed by signal 11")
    }

    @Test func whatARankSaysOfItsEndCounts() {
        let said = "[rank1]: opd_torch: rank 1: out of memory in forward; lower training.token_budget"
        let later = "opd_torch: rank 0: forward failed: RuntimeError: Connection closed by peer"
        #expect(
            TorchWords.reason(in: ["Traceback", said, later] + lines(report))
                == "rank 1: out of memory in forward; lower training.token_budget")
        let last = "/bin/python: No module named opd_torch"
        #expect(TorchWords.reason(in: ["one", last])?.hasPrefix("\(last); install it with ") == true)
        #expect(TorchWords.reason(in: []) == nil)
    }

    @Test func aFolderWhoseSocketWouldHaveNoRoomIsRefused() throws {
        let folder = try TemporaryFolder()
        let made = try TorchFolder.make(in: folder.path)
        #expect(made.hasPrefix("\(folder.path)/opd-torch-"))
        #expect(try FileManager.default.attributesOfItem(atPath: made)[.posixPermissions] as? Int == 0o700)
        let long = folder.path + "/" + String(repeating: "x", count: 107 - folder.path.utf8.count - 15)
        #expect(throws: EngineRefusal.self) { try TorchFolder.make(in: long) }
        do { _ = try TorchFolder.make(in: "/nowhere") } catch { #expect(error.reason.hasPrefix("TMPDIR: ")) }
    }
}
