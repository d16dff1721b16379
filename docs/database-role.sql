-- A role that can read what vod2strmfs reads, and nothing else: the accounts' passwords stay out of its reach.
-- Run as the database's owner:  psql -d dispatcharr -f database-role.sql
-- and choose the password:      ALTER ROLE vod2strmfs PASSWORD '…';

CREATE ROLE vod2strmfs LOGIN;
ALTER ROLE vod2strmfs SET default_transaction_read_only = on;

GRANT SELECT (id, uuid, name, description, year, rating, genre, duration_secs, tmdb_id, imdb_id, is_adult, logo_id, custom_properties, created_at) ON vod_movie TO vod2strmfs;
GRANT SELECT (id, uuid, name, description, year, rating, genre, tmdb_id, imdb_id, logo_id, custom_properties, created_at) ON vod_series TO vod2strmfs;
GRANT SELECT (id, uuid, series_id, name, description, air_date, rating, duration_secs, season_number, episode_number, tmdb_id, imdb_id, custom_properties, created_at) ON vod_episode TO vod2strmfs;
GRANT SELECT (id, url) ON vod_vodlogo TO vod2strmfs;
GRANT SELECT (id, name) ON vod_vodcategory TO vod2strmfs;
GRANT SELECT (id, m3u_account_id, movie_id, category_id, stream_id, container_extension, custom_properties) ON vod_m3umovierelation TO vod2strmfs;
GRANT SELECT (id, m3u_account_id, series_id, category_id, external_series_id, custom_properties) ON vod_m3useriesrelation TO vod2strmfs;
GRANT SELECT (id, m3u_account_id, episode_id, stream_id, container_extension, custom_properties) ON vod_m3uepisoderelation TO vod2strmfs;
GRANT SELECT (m3u_account_id, category_id, enabled) ON vod_m3uvodcategoryrelation TO vod2strmfs;
GRANT SELECT (id, name, is_active, priority) ON m3u_m3uaccount TO vod2strmfs;
