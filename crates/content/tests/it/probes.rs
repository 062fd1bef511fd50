//! What the wire answers to odd questions, one by one; `codes` asks them all in one go.

use bytes::Bytes;
use futures_util::stream;
use tonic::{Code, Request};
use wharfinger_content::Mode;
use wharfinger_content::proto::{
    AbortRequest, DeleteContentRequest, Info, InfoRequest, ListContentRequest, ListStatusesRequest,
    WriteContentRequest,
};

use crate::probe::{COMMIT, both, code, commit, labels, message, write};
use crate::subject::{sample, sha256};

const BAD_DIGESTS: [&str; 6] = [
    "",
    "sha256:xyz",
    "md5:d41d8cd98f00b204e9800998ecf8427e",
    "sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "nocolon",
    "zzz",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_digest_is_an_invalid_argument() {
    for probe in both() {
        for bad in BAD_DIGESTS {
            let digest = bad.to_owned();
            assert_eq!(probe.info(bad).await, Code::InvalidArgument, "{bad}");
            assert_eq!(probe.read(bad, 0, 0).await.1, Code::InvalidArgument);
            let delete = probe.request(DeleteContentRequest {
                digest: digest.clone(),
            });
            let deleted = probe.client.clone().delete(delete).await;
            assert_eq!(code(deleted), Code::InvalidArgument);
            let info = Info {
                digest,
                ..Info::default()
            };
            assert_eq!(probe.update(info, None).await, Code::InvalidArgument);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_direct_calls_need_a_namespace_and_may_name_no_lease() {
    for probe in both() {
        let digest = sha256(b"x").to_string();
        let bare = Request::new(InfoRequest {
            digest: digest.clone(),
        });
        let wanted = probe.either(Code::FailedPrecondition, Code::NotFound);
        assert_eq!(code(probe.client.clone().info(bare).await), wanted);
        let mut odd = Request::new(InfoRequest {
            digest: digest.clone(),
        });
        let name = "bad/ns name".parse().unwrap();
        odd.metadata_mut().insert("containerd-namespace", name);
        let wanted = probe.either(Code::InvalidArgument, Code::NotFound);
        assert_eq!(code(probe.client.clone().info(odd).await), wanted);
        let mut leased = probe.request(stream::iter([message("ref")]));
        let lease = "nowhere".parse().unwrap();
        leased.metadata_mut().insert("containerd-lease", lease);
        let answered = match probe.client.clone().write(leased).await {
            Ok(answers) => code(answers.into_inner().message().await),
            Err(status) => status.code(),
        };
        assert_eq!(answered, probe.either(Code::NotFound, Code::Ok));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_is_removed_already_for_a_plugin() {
    for probe in both() {
        let wanted = probe.either(Code::NotFound, Code::Ok);
        let digest = sha256(b"x").to_string();
        let delete = probe.request(DeleteContentRequest { digest });
        assert_eq!(code(probe.client.clone().delete(delete).await), wanted);
        for reference in ["", "missing"] {
            let r#ref = reference.to_owned();
            let abort = probe.request(AbortRequest { r#ref });
            assert_eq!(code(probe.client.clone().abort(abort).await), wanted);
            assert_eq!(probe.status(reference).await, Err(Code::NotFound));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_are_cut_to_the_blob() {
    for probe in both() {
        let data = sample((3 << 20) + 17, 1);
        assert_eq!(probe.ends(vec![commit("ref", &data)]).await, Code::Ok);
        let (digest, length) = (sha256(&data).to_string(), data.len());
        let size = i64::try_from(length).unwrap();
        for (offset, wanted_size, wanted) in [
            (0, 0, (length, Code::Ok)),
            (-5, 0, (length, Code::Ok)),
            (0, -1, (length, Code::Ok)),
            (10, 20, (20, Code::Ok)),
            (size - 10, 100, (10, Code::Ok)),
            (size, 0, (0, Code::Ok)),
            (size, 10, (0, Code::Ok)),
            (size + 1, 0, (0, Code::OutOfRange)),
            (10, i64::MAX, (length - 10, Code::Ok)),
        ] {
            let read = probe.read(&digest, offset, wanted_size).await;
            assert_eq!(read, wanted, "{offset} {wanted_size}");
        }
        let missing = sha256(b"missing").to_string();
        assert_eq!(probe.read(&missing, 0, 0).await.1, Code::NotFound);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn updates_are_of_labels_and_of_bounded_ones_in_mode_direct() {
    for probe in both() {
        let data = sample(1000, 2);
        assert_eq!(probe.ends(vec![commit("ref", &data)]).await, Code::Ok);
        let info = |labels| Info {
            digest: sha256(&data).to_string(),
            size: 77,
            labels,
            ..Info::default()
        };
        for (paths, wanted) in [
            (None, Code::Ok),
            (Some(&[][..]), Code::Ok),
            (Some(&["labels.k"]), Code::Ok),
            (Some(&["labels.with.dots"]), Code::Ok),
            (Some(&["size"]), Code::InvalidArgument),
            (Some(&["labels.k", "size"]), Code::InvalidArgument),
            (Some(&["created_at"]), Code::InvalidArgument),
            (Some(&[""]), Code::InvalidArgument),
        ] {
            assert_eq!(probe.update(info(labels(10)), paths).await, wanted);
        }
        assert_eq!(probe.update(info(labels(4096)), None).await, Code::Ok);
        let wanted = probe.either(Code::InvalidArgument, Code::Ok);
        assert_eq!(probe.update(info(labels(4097)), None).await, wanted);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_take_filters_and_refuse_what_is_none() {
    for probe in both() {
        for (filter, wanted) in [
            ("", Code::Ok),
            ("digest~=/^sha256/", Code::Ok),
            ("digest~=/(/", Code::Ok),
            ("size==1", Code::Ok),
            ("labels.containerd.io/gc.root==x", Code::InvalidArgument),
            ("digest=", Code::InvalidArgument),
            ("==x", Code::InvalidArgument),
            ("some-field", Code::InvalidArgument),
        ] {
            let filters = vec![filter.to_owned()];
            let list = probe.request(ListContentRequest {
                filters: filters.clone(),
            });
            let listed = code(probe.client.clone().list(list).await);
            assert_eq!(listed, wanted, "{filter}");
            let list = probe.request(ListStatusesRequest { filters });
            let listed = code(probe.client.clone().list_statuses(list).await);
            assert_eq!(listed, wanted, "{filter}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_is_where_it_says() {
    for probe in both() {
        assert_eq!(probe.ends(vec![]).await, Code::Unknown);
        let no_reference = probe.ends(vec![message("")]).await;
        assert_eq!(no_reference, Code::InvalidArgument);
        let data = sample(40, 3);
        let (answers, end) = probe
            .stream(vec![
                write("ref", 0, &data),
                // Another ref in mid-stream means nothing.
                write("other", 40, &data),
                message("ref"),
                WriteContentRequest {
                    action: 7,
                    offset: 3,
                    ..message("ref")
                },
                write("ref", -1, &data),
            ])
            .await;
        let offsets: Vec<i64> = answers.iter().map(|answer| answer.offset).collect();
        assert_eq!((offsets, end), (vec![40, 80, 80, 80, 120], Code::Ok));
        assert_eq!(answers[3].action, 7);
        assert_eq!(answers[1].digest, sha256(&data.repeat(2)).to_string());
        assert_eq!(probe.status("other").await, Err(Code::NotFound));
        for wrong in [10, 121] {
            let ended = probe.ends(vec![write("ref", wrong, &data)]).await;
            assert_eq!(ended, Code::OutOfRange);
            assert_eq!(probe.status("ref").await, Ok(120), "it is kept");
        }
        let (answers, _) = probe.stream(vec![write("ref", 0, &data)]).await;
        assert_eq!(answers[0].offset, 40, "at 0 it begins anew");
        let (answers, _) = probe.stream(vec![write("ref", 0, &Bytes::new())]).await;
        assert_eq!(answers[0].offset, 0, "also without data");
        assert_eq!(answers[0].digest, sha256(b"").to_string());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_is_of_what_was_announced() {
    for probe in both() {
        let data = sample(500, 4);
        assert_eq!(probe.ends(vec![write("ref", 0, &data)]).await, Code::Ok);
        let last = |total, expected: &str| WriteContentRequest {
            total,
            expected: expected.to_owned(),
            offset: 500,
            ..commit("ref", &Bytes::new())
        };
        let other = sha256(b"other").to_string();
        let bad = probe.either(Code::FailedPrecondition, Code::InvalidArgument);
        for (total, expected, wanted) in [
            (501, "", Code::FailedPrecondition),
            (0, other.as_str(), Code::FailedPrecondition),
            (0, "sha256:zzz", bad),
        ] {
            let ended = probe.ends(vec![last(total, expected)]).await;
            assert_eq!(ended, wanted, "{total} {expected}");
            assert_eq!(probe.status("ref").await, Ok(500), "it is kept");
        }
        if probe.mode == Mode::Direct {
            let labelled = WriteContentRequest {
                labels: labels(4097),
                ..last(0, "")
            };
            assert_eq!(probe.ends(vec![labelled]).await, Code::InvalidArgument);
            assert_eq!(probe.status("ref").await, Ok(500), "it is kept");
        }
        let (answers, end) = probe.stream(vec![last(500, "")]).await;
        assert_eq!((answers.len(), end), (1, Code::Ok));
        assert_eq!((answers[0].action, answers[0].offset), (COMMIT, 500));
        assert!(answers[0].started_at.is_some());
        assert_eq!(probe.status("ref").await, Err(Code::NotFound));

        let known = sha256(&data).to_string();
        let with = |message, expected: &str| WriteContentRequest {
            expected: expected.to_owned(),
            ..message
        };
        let opened = probe.ends(vec![with(message("new"), &known)]).await;
        assert_eq!(opened, Code::AlreadyExists);
        for again in [commit("new", &data), with(commit("new", &data), &known)] {
            assert_eq!(
                probe.ends(vec![message("new"), again]).await,
                Code::AlreadyExists
            );
            assert_eq!(probe.status("new").await, Err(Code::NotFound));
        }
        let midway = vec![write("new", 0, &data), with(message("new"), &known)];
        assert_eq!(probe.ends(midway).await, Code::AlreadyExists);
        assert_eq!(probe.status("new").await, Err(Code::NotFound));
        let bad = probe.ends(vec![with(message("bad"), "zzz")]).await;
        assert_eq!(bad, probe.either(Code::Ok, Code::InvalidArgument));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn totals_are_remembered_within_a_stream() {
    for probe in both() {
        let total = |total, message| WriteContentRequest { total, ..message };
        let data = sample(100, 5);
        let wrong = vec![total(50, write("ref", 0, &data)), {
            WriteContentRequest {
                offset: 100,
                ..commit("ref", &Bytes::new())
            }
        }];
        assert_eq!(probe.ends(wrong).await, Code::FailedPrecondition);
        let (answers, _) = probe.stream(vec![message("ref")]).await;
        assert_eq!(answers[0].total, 0, "this stream has said nothing");
        let (answers, _) = probe.stream(vec![total(999, message("ref"))]).await;
        assert_eq!((answers[0].offset, answers[0].total), (0, 999));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_has_at_most_16_mib() {
    for probe in both() {
        let most = sample((16 << 20) - 100, 6);
        assert_eq!(probe.ends(vec![write("ref", 0, &most)]).await, Code::Ok);
        let more = sample(17 << 20, 7);
        let refused = probe.ends(vec![write("ref", 0, &more)]).await;
        assert!(refused != Code::Ok, "{refused:?}");
        let length = i64::try_from(most.len()).unwrap();
        assert_eq!(probe.status("ref").await, Ok(length), "it is kept");
    }
}
