-- Pages of callbacks are filled. Nearly every step moves `wake_at`, which is indexed, so room for the next version on the
-- same page saved no index entry. Counts for pages that are written from now on.
ALTER TABLE callbacks RESET (fillfactor);
